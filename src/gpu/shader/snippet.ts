/** A text that is part of a shader, with the name that errors give it. */
export interface SourcePart {
  /** A path from the root, e.g. "shaders/lib/grid.wgsl", or what generated it. */
  readonly name: string;
  /** WGSL; parts share one module, so that names must differ between them. */
  readonly text: string;
  /**
   * Reason why it is in a shader: the host lists it, another part needs it, or the host wrote it for this shader. Of parts of
   * a composed shader.
   */
  readonly reason?: "listed" | "needed" | "written" | undefined;
  /** Names of its lines that the host set. */
  readonly set?: readonly string[] | undefined;
}

/** A text of WGSL, and the snippets that it needs in the same shader. */
export interface Snippet extends SourcePart {
  /** Stand in front of it, each once however many need it. */
  readonly needs?: readonly Snippet[] | undefined;
  /** Its lines that may be set; where they are not given, as in a user's text, all `alias` and `const` lines. */
  readonly sets?: ReadonlySet<string> | undefined;
  /** Equal for equal texts with equal needs; computed by `keyOf` where it is not given. */
  readonly key?: string | undefined;
  /** Its `struct Params`; found by `paramsText` where it is not given. */
  readonly params?: string | undefined;
}

const files = new Map<string, Snippet>();

/** The files of `shaders/` by name, e.g. "shaders/lib/grid.wgsl": each is here once a module declared it. */
export const SHADER_FILES: ReadonlyMap<string, Snippet> = files;

/** Declares a file of `shaders/`, e.g. "lib/grid", with the snippets that it calls whatever its user chooses. */
export function snippet(path: string, text: string, needs: readonly Snippet[] = []): Snippet {
  const plain = { name: `shaders/${path}.wgsl`, text, needs, sets: hostSets(text) };
  const file = { ...plain, key: keyOf(plain), params: paramsText([plain]) };
  files.set(file.name, file);
  return file;
}

/** Names that the host sets, by the line `// Host sets: X, WG.` in the head of a file. */
export function hostSets(text: string): ReadonlySet<string> {
  const names = /^\/\/ Host sets: (\w+(?:, \w+)*)\.$/m.exec(text)?.[1];
  return new Set(names?.split(", "));
}

/** A line that can be set: `alias NAME = …;` or `const NAME: type = …;`. */
export function lineOf(name: string): RegExp {
  return new RegExp(`^(alias ${name} = |const ${name}: \\w+ = )[^;]*;`, "m");
}

/** The text that declares `struct Params`, of some snippets and those that they need; "" where none does. */
export function paramsText(code: readonly Snippet[]): string {
  for (const { text, needs = [], params } of code) {
    const found = params ?? (/\bstruct\s+Params\b/.test(codeOf(text)) ? text : paramsText(needs));
    if (found) return found;
  }
  return "";
}

const numbers = new Map<string, number>();

/** A key that is equal for equal texts with equal needs: a text may be a user's own. */
export function keyOf({ name, text, needs = [], key }: Snippet): string {
  if (key !== undefined) return key;
  const number = numbers.get(text) ?? numbers.size;
  numbers.set(text, number);
  return `${name}#${number}(${needs.map(keyOf)})`;
}

/** A text with its comments blanked, so that every place stays where it is. */
export function codeOf(text: string): string {
  let [code, depth, at] = ["", 0, 0]; // comments of blocks nest
  while (at < text.length) {
    const mark = depth ? /\/\*|\*\//g : /\/\/.*|\/\*/g;
    mark.lastIndex = at;
    const found = mark.exec(text);
    const piece = text.slice(at, found?.index);
    code += depth ? blank(piece) : piece;
    at += piece.length;
    if (!found) break;
    if (found[0] === "/*") depth++;
    else if (found[0] === "*/") depth--;
    code += blank(found[0]);
    at += found[0].length;
  }
  return code;
}

const blank = (text: string) => text.replaceAll(/[^\n]/g, " ");
