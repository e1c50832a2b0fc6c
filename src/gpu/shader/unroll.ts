/** Unrolls loops: WGSL has no word that makes a driver do it, and some keep arrays that a loop indexes in memory. */
import { codeOf, type SourcePart } from "./snippet.ts";

/** The most iterations that are unrolled. */
const MOST = 256;

const MARKED =
  /^[ \t]*for \(var (\w+) = (\w+); \1 < ([^;]+); \1(\+\+| \+= ([^;{]+))\) \{ \/\/ unrolled\b.*$/gm;

/**
 * Writes out loops of the form `for (var i = 0u; i < ROWS * 2; i++) { // unrolled`, with i a constant in each
 * copy of the body. Bounds and steps are numbers and constants of the shader. A loop's lines stay where they
 * are, as its further copies stand in the line of its closing brace, so that errors name the same lines.
 * Throws where a bound is no constant, and where a body leaves the loop.
 */
export function unroll(label: string, parts: readonly SourcePart[]): SourcePart[] {
  if (!parts.some(({ text }) => text.includes("// unrolled"))) return [...parts];
  const constants = new Constants(label, parts.map(({ text }) => codeOf(text)).join("\n"));
  return parts.map((part) => ({ ...part, text: written(label, part.text, constants) }));
}

function written(label: string, text: string, constants: Constants): string {
  const code = codeOf(text);
  const found = text.matchAll(MARKED).find(({ 0: head, index }) => code[index + head.indexOf("for")] === "f");
  if (!found) return text; // but perhaps in a comment
  const [head, name, from, bound, step, by] = found;
  const start = found.index + head.indexOf(") { // unrolled") + 3;
  const end = closingBrace(code, start);
  if (/\b(?:break|continue)\b/.test(code.slice(start, end))) {
    throw new Error(
      `Cannot compose ${label}: expected no break or continue in an unrolled loop, got one in ${head.trim()}`,
    );
  }
  const body = written(label, text.slice(start, end), constants);
  const line = codeOf(body).replaceAll(/\s+/g, " ");
  const last = constants.valueOf(bound!);
  const stride = step === "++" ? 1 : constants.valueOf(by!);
  const values: number[] = [];
  for (let i = constants.valueOf(from!); i < last; i += stride) {
    values.push(i);
    if (stride < 1 || values.length > MOST) {
      throw new Error(
        `Cannot compose ${label}: expected at most ${MOST} turns of an unrolled loop, got more in ${head.trim()}`,
      );
    }
  }
  const type = /^\d+i?$/.test(from!) ? "i" : "u"; // as WGSL takes a `var i = 0`
  const [first, ...others] = values.map((i) => `const ${name} = ${i}${type};`);
  const copies = others.map((value) => ` { ${value}${line}}`).join("");
  const indent = head.slice(0, head.indexOf("for"));
  const whole = first === undefined ? body.replaceAll(/[^\n]/g, "") : `{ ${first}${body}}${copies}`;
  return text.slice(0, found.index) + indent + whole + written(label, text.slice(end + 1), constants);
}

/** End of the block that begins before `start`. */
function closingBrace(code: string, start: number): number {
  let depth = 1;
  for (let at = start; at < code.length; at++) {
    if (code[at] === "{") depth++;
    else if (code[at] === "}" && --depth === 0) return at;
  }
  return code.length;
}

/** The whole numbers that a shader's constants are. */
export class Constants {
  readonly #label: string;
  readonly #texts: ReadonlyMap<string, string>;
  readonly #values = new Map<string, number>();

  constructor(label: string, code: string) {
    this.#label = label;
    const lines = code.matchAll(/^const (\w+)(?:: *\w+)? = ([^;]+);/gm);
    this.#texts = new Map([...lines].map(([, name, text]) => [name!, text!]));
  }

  /** Sums, products, quotients, remainders, min and max of whole numbers and constants. */
  valueOf(expression: string): number {
    const words = expression.match(/\w+|\S/g) ?? [];
    let at = 0;
    const refuse = (): never => {
      throw new Error(
        `Cannot compose ${this.#label}: expected a whole number of constants, got ${expression.trim()}`,
      );
    };
    const sum = (): number => {
      let value = product();
      while (words[at] === "+" || words[at] === "-") value += words[at++] === "+" ? product() : -product();
      return value;
    };
    const product = (): number => {
      let value = factor();
      while (/^[*/%]$/.test(words[at] ?? "")) {
        const [operator, next] = [words[at++], factor()];
        value = operator === "*" ? value * next : operator === "/" ? Math.trunc(value / next) : value % next;
      }
      return value;
    };
    const factor = (): number => {
      const word = words[at++] ?? refuse();
      if (word === "(") return closed(sum());
      if (/^\d+[ui]?$/.test(word)) return parseInt(word);
      if ((word === "min" || word === "max") && words[at++] === "(") {
        const first = sum();
        if (words[at++] !== ",") refuse();
        return closed(Math[word](first, sum()));
      }
      return this.#constant(word) ?? refuse();
    };
    const closed = (value: number): number => words[at++] === ")" ? value : refuse();
    const value = sum();
    return at === words.length && Number.isFinite(value) ? value : refuse();
  }

  #constant(name: string): number | undefined {
    const known = this.#values.get(name);
    const text = this.#texts.get(name);
    if (known !== undefined || text === undefined) return known;
    const value = this.valueOf(text);
    this.#values.set(name, value);
    return value;
  }
}
