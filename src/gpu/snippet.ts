import type { SourcePart } from "./pipelines.ts";

/** A text of WGSL, and what must stand in the same shader. */
export interface Snippet extends SourcePart {
  /** Stand in front of it, each once however many need it. */
  readonly needs?: readonly Snippet[] | undefined;
  /** Its lines that may be set; where it is not told, as in a user's text, all `alias` and `const` lines. */
  readonly sets?: ReadonlySet<string> | undefined;
}

/** A file of `shaders/`, e.g. "lib/grid", with the snippets that it calls whatever its user chooses. */
export function snippet(path: string, text: string, needs: readonly Snippet[] = []): Snippet {
  return { name: `shaders/${path}.wgsl`, text, needs, sets: hostSets(text) };
}

/** What the head of a file says that the host sets: `// Host sets: X, WG.` */
export function hostSets(text: string): ReadonlySet<string> {
  const names = /^\/\/ Host sets: (\w+(?:, \w+)*)\.$/m.exec(text)?.[1];
  return new Set(names?.split(", "));
}

/** A line that can be set: `alias NAME = …;` or `const NAME: type = …;`. */
export function lineOf(name: string): RegExp {
  return new RegExp(`^(alias ${name} = |const ${name}: \\w+ = )[^;]*;`, "m");
}

const withParams = new WeakMap<Snippet, string>();

/** The text that declares `struct Params`, of some snippets and those that they need; "" where none does. */
export function paramsText(code: readonly Snippet[]): string {
  for (const snippet of code) {
    let text = withParams.get(snippet);
    if (text === undefined) {
      text = /\bstruct\s+Params\b/.test(codeOf(snippet.text))
        ? snippet.text
        : paramsText(snippet.needs ?? []);
      withParams.set(snippet, text);
    }
    if (text) return text;
  }
  return "";
}

const keys = new WeakMap<Snippet, string>();
const numbers = new Map<string, number>();

/** A key that is equal for equal texts: a text may be changed, or be a user's own. */
export function keyOf(snippet: Snippet): string {
  const known = keys.get(snippet);
  if (known !== undefined) return known;
  const { name, text, needs = [] } = snippet;
  const number = numbers.get(text) ?? numbers.size;
  numbers.set(text, number);
  const key = `${name}#${number}(${needs.map(keyOf)})`;
  keys.set(snippet, key);
  return key;
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
