/** Debian's backports, derived from the apt sources that the machine has. */

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

/**
 * The file that adds `<codename>-backports` to these sources: Debian's own source of the codename, with that
 * suite. Undefined if they have it already.
 */
export function backportsFile(files: SourcesFile[], codename: string): SourcesFile | undefined {
  const backports = `${codename}-backports`;
  const sources = files.flatMap((file) =>
    file.name.endsWith(".list") ? lines(file.text) : stanzas(file.text)
  );
  if (sources.some(({ suites }) => suites.includes(backports))) return undefined;
  const own = sources.find(({ suites, components }) =>
    suites.includes(codename) && components.includes("main")
  );
  if (own) return own.withSuite(backports);
  throw new Error(
    `Cannot add ${backports}: expected an apt source of ${codename} main, got none in /etc/apt`,
  );
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
