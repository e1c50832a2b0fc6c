/** Other suites of Debian, derived from the apt sources that the machine has. */

/** A file of apt sources: in `.list` a source is a line, in `.sources` a stanza (deb822). */
export interface SourcesFile {
  name: string;
  text: string;
}

interface Source {
  suites: string[];
  components: string[];
  /** The same source with another suite, as a file. */
  withSuite(suite: string): SourcesFile;
}

/** The file that adds `<codename>-backports` to these sources. Undefined if they have it already. */
export function backportsFile(files: SourcesFile[], codename: string): SourcesFile | undefined {
  const backports = `${codename}-backports`;
  if (sourcesIn(files).some(({ suites }) => suites.includes(backports))) return undefined;
  return suiteFile(files, codename, backports);
}

/** The file that adds a suite to these sources: Debian's own source of the codename, with that suite. */
export function suiteFile(files: SourcesFile[], codename: string, suite: string): SourcesFile {
  const own = sourcesIn(files).find(({ suites, components }) =>
    suites.includes(codename) && components.includes("main")
  );
  if (own) return own.withSuite(suite);
  throw new Error(`Cannot add ${suite}: expected an apt source of ${codename} main, got none in /etc/apt`);
}

function sourcesIn(files: SourcesFile[]): Source[] {
  return files.flatMap((file) => file.name.endsWith(".list") ? lines(file.text) : stanzas(file.text));
}

function lines(text: string): Source[] {
  const pattern = /^(deb\s+(?:\[.*?\]\s+)?\S+\s+)(\S+)(\s+([^#\n]+))/gm; // type, options and URI; suite; components
  return [...text.matchAll(pattern)].map(([, head, suite, tail, components]) => ({
    suites: [suite!],
    components: words(components!),
    withSuite: (other) => ({ name: "denoise-backports.list", text: `${head}${other}${tail!.trimEnd()}\n` }),
  }));
}

function stanzas(text: string): Source[] {
  const uncommented = text.replaceAll(/^#.*\n?/gm, "");
  return uncommented.split(/\n\s*\n/).filter((stanza) => !/^Enabled:\s*no/im.test(stanza)).map((stanza) => ({
    suites: words(/^Suites:(.*)$/im.exec(stanza)?.[1]),
    components: words(/^Components:(.*)$/im.exec(stanza)?.[1]),
    withSuite: (other) => ({
      name: "denoise-backports.sources",
      text: `${stanza.trim().replace(/^Suites:.*$/im, `Suites: ${other}`)}\n`,
    }),
  }));
}

function words(text = ""): string[] {
  return text.trim().split(/\s+/);
}
