import { quote } from "./errors.ts";

const maxDepth = 128;
const plain = /"[^"\\\p{Cc}]*"/uy; // a string without escapes, as most are
const word = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null|NaN|-?Infinity/y;
const literals = new Map<string, unknown>([["true", true], ["false", false], ["null", null]]);

/**
 * Parses JSON as Python's json module writes it: NaN and Infinity are numbers, as in schedulers'
 * `"lambda_min_clipped": -Infinity`. `what` names the text in messages, e.g. "./unet/config.json". Of a key
 * that comes twice the last value counts, as in Python, unless keys are to be `unique`.
 */
export function parseJson(text: string, what: string, options: JsonOptions = {}): unknown {
  return new JsonReader(text, what, options).document();
}

/** Options of `parseJson`. */
export interface JsonOptions {
  /** Integers beyond 2^53 become bigints. */
  bigints?: boolean | undefined;
  /** An object that has a key twice is refused. */
  unique?: boolean | undefined;
}

/** Writes JSON with all digits of bigints; NaN and infinities become strings. */
export function writeJson(value: unknown): string {
  return JSON.stringify(value, (_, part) => {
    if (typeof part === "bigint") return (JSON as unknown as RawJSON).rawJSON(`${part}`);
    return typeof part === "number" && !Number.isFinite(part) ? String(part) : part;
  });
}

/** A method of ECMAScript 2025 that TypeScript's library does not have yet. */
interface RawJSON {
  rawJSON(text: string): unknown;
}

class JsonReader {
  #at = 0;

  constructor(readonly text: string, readonly what: string, readonly options: JsonOptions) {}

  document(): unknown {
    const value = this.#value("a value", 0);
    if (this.#next() !== "") this.#fail("the end of the text");
    return value;
  }

  #value(expected: string, depth: number): unknown {
    if (depth > maxDepth) this.#fail(`at most ${maxDepth} levels of nesting`, "more");
    const first = this.#next();
    if (first === "{") return this.#object(depth + 1);
    if (first === "[") return this.#array(depth + 1);
    if (first === '"') return this.#string();
    word.lastIndex = this.#at;
    const [match] = word.exec(this.text) ?? this.#fail(expected);
    this.#at += match.length;
    return literals.has(match) ? literals.get(match) : this.#number(match);
  }

  #number(text: string): number | bigint {
    const value = Number(text);
    return this.options.bigints && /^-?\d+$/.test(text) && !Number.isSafeInteger(value)
      ? BigInt(text)
      : value;
  }

  #object(depth: number): Record<string, unknown> {
    const object: Record<string, unknown> = {};
    this.#at++;
    if (this.#take("}")) return object;
    let key: string;
    do {
      if (this.#next() !== '"') this.#fail("a key in double quotes");
      const start = this.#at;
      key = this.#string();
      if (this.options.unique && Object.hasOwn(object, key)) {
        this.#at = start;
        this.#fail(`the key ${quote(key)} once`, "it twice");
      }
      if (!this.#take(":")) this.#fail(`: after ${quote(key)}`);
      const value = this.#value(`a value for ${quote(key)}`, depth);
      if (key === "__proto__") {
        Object.defineProperty(object, key, { value, enumerable: true, configurable: true });
      } else object[key] = value;
    } while (this.#take(","));
    if (!this.#take("}")) this.#fail(`, or } after the value of ${quote(key)}`);
    return object;
  }

  #array(depth: number): unknown[] {
    const array: unknown[] = [];
    this.#at++;
    if (this.#take("]")) return array;
    do array.push(this.#value("a value in the list", depth)); while (this.#take(","));
    if (!this.#take("]")) this.#fail(", or ] in the list");
    return array;
  }

  #string(): string {
    const start = this.#at;
    plain.lastIndex = start;
    if (plain.test(this.text)) {
      this.#at = plain.lastIndex;
      return this.text.slice(start + 1, this.#at - 1);
    }
    let end = start + 1;
    while (end < this.text.length && this.text[end] !== '"') end += this.text[end] === "\\" ? 2 : 1;
    this.#at = end + 1;
    if (end >= this.text.length) this.#fail('a closing "');
    try {
      return JSON.parse(this.text.slice(start, end + 1)); // decodes the escapes, refuses control characters
    } catch {
      this.#at = start;
      this.#fail("a string with valid escapes", quote(this.text.slice(start + 1, end)));
    }
  }

  #take(mark: string): boolean {
    const found = this.#next() === mark;
    if (found) this.#at++;
    return found;
  }

  /** The next character that is not white space, "" at the end of the text. */
  #next(): string {
    let mark = this.text[this.#at];
    while (mark === " " || mark === "\n" || mark === "\r" || mark === "\t") mark = this.text[++this.#at];
    return mark ?? "";
  }

  #fail(expected: string, got?: string): never {
    const at = Math.min(this.#at, this.text.length);
    const before = this.text.slice(0, at);
    const line = before.split("\n").length;
    const column = at - before.lastIndexOf("\n");
    const found = at < this.text.length ? quote(this.text[at]) : "the end of the text";
    throw new SyntaxError(
      `Cannot load ${this.what}: expected ${expected}, got ${
        got ?? found
      } at line ${line}, column ${column}; ` +
        "correct it or download it again",
    );
  }
}
