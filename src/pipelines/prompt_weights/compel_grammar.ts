/** Words, or what brackets hold, whose weight multiplies those within. */
export type Node = { readonly text: string } | {
  readonly children: readonly Node[];
  readonly weight: number;
};

/** Something read, and the position behind it. */
interface Read<T> {
  readonly value: T;
  readonly end: number;
}

const SPACE = /[ \t\n\r\v\f]*/y;
const WORD = /(?:\\[()",.+\-=]|[-+](?![ \t\n\r\v\f()",.+\-=]|$)|[^ \t\n\r\v\f()",.+\-=])+/y;
const FREE_WORD = /[^ \t\n\r\v\f]+/y;
const QUOTED = /"((?:\\"|[^"\n\r])*)"/y;
const SIGNS = /\++|-+/y;
const NUMBER = /[+-]?(?:\d+\.\d*|\.\d+)|-?\d+/y;
const OPTION = /[\w-]+\s*=\s*(?:[+-]?(?:\d+\.\d*|\.\d+)|-?\d+|[\w-]+)|[+-]?(?:\d+\.\d*|\.\d+)|-?\d+|[\w-]+/y;
const DEEPEST = 100; // brackets within brackets

/** Reads compel's grammar, in which the first of several readings counts. */
export class Grammar {
  readonly #text: string;
  readonly #refuse: (why: string) => never;
  /** Brackets and quotes around what is read now. */
  #depth: number;
  /** Brackets by where they begin, as several rules try each. */
  readonly #brackets = new Map<number, Read<Node[]> | undefined>();

  constructor(text: string, refuse: (why: string) => never, depth = 0) {
    this.#text = text;
    this.#refuse = refuse;
    this.#depth = depth;
  }

  /** All of the text, where any word may stand. */
  prompt(): Node[] {
    const nodes: Node[] = [];
    for (let at = this.#skip(0); at < this.#text.length;) {
      const read = this.#attention(at) ?? this.#group(at) ?? this.#words(FREE_WORD, at)!;
      nodes.push(...read.value);
      at = this.#skip(read.end);
    }
    return nodes;
  }

  /** All of the text as `("one", "other").blend(0.7, 0.3)` or `.and()`; undefined where it is neither. */
  operator():
    | { name: "blend" | "and"; prompts: Node[][]; weights: number[]; normalize: boolean }
    | undefined {
    const prompts: Node[][] = [];
    let at = this.#sign("(", 0);
    for (;;) {
      const item = at === undefined ? undefined : this.#item(at);
      if (!item) return undefined;
      prompts.push(item.value);
      const next = this.#sign(",", item.end);
      at = next ?? item.end;
      if (next === undefined) break;
    }
    at = this.#sign(")", at);
    const name = at === undefined ? undefined : this.#match(/\.(blend|and|add)/y, this.#skip(at));
    at = name && this.#sign("(", name.end);
    const options: string[] = [];
    while (at !== undefined) {
      const option = this.#match(OPTION, this.#skip(at));
      if (!option) break;
      options.push(option.value);
      const next = this.#sign(",", option.end);
      at = next ?? option.end;
      if (next === undefined) break;
    }
    const end = at === undefined ? undefined : this.#sign(")", at);
    if (!name || end === undefined) return undefined;
    const rest = this.#text.slice(this.#skip(end));
    if (rest) this.#refuse(`expected nothing behind ${name.value}(), got ${JSON.stringify(rest)}`);
    const isBlend = name.value === ".blend";
    const normalize = !(isBlend && options.at(-1) === "no_normalize");
    const weights = this.#weights(normalize ? options : options.slice(0, -1), prompts.length);
    if (isBlend && normalize && weights.reduce((sum, weight) => sum + weight, 0) === 0) {
      this.#refuse(`expected weights whose sum is not 0, got ${weights.join(", ")}`);
    }
    return { name: isBlend ? "blend" : "and", prompts, weights, normalize };
  }

  #weights(options: readonly string[], count: number): number[] {
    if (options.length === 0) return new Array<number>(count).fill(1);
    const weights = options.map(Number);
    if (weights.length === count && weights.every(Number.isFinite)) return weights;
    return this.#refuse(`expected ${count} weights, one for each prompt, got ${options.join(", ")}`);
  }

  /** An argument of `.blend()` and `.and()`: a word, brackets, or quotes, within which any word may stand. */
  #item(at: number): Read<Node[]> | undefined {
    const strict = this.#group(at) ?? this.#words(WORD, at);
    if (strict) return strict;
    const quoted = this.#match(QUOTED, this.#skip(at));
    return quoted && { value: this.#within(quoted.value).prompt(), end: quoted.end };
  }

  /** `word++`, `(some words)1.3`, `"some words"-` or `word.attend(1.3)`. */
  #attention(at: number): Read<Node[]> | undefined {
    const target = this.#group(at) ?? this.#words(WORD, at);
    if (!target) return undefined;
    const attend = this.#match(/\.attend/y, this.#skip(target.end));
    const open = attend && this.#sign("(", attend.end);
    const said = open === undefined ? undefined : this.#weight(this.#skip(open));
    const close = said && this.#sign(")", said.end);
    if (close !== undefined) return { value: [{ children: target.value, weight: said!.value }], end: close };
    const isGroup = /[("]/.test(this.#text[this.#skip(at)]!);
    const behind = isGroup ? this.#weight(target.end) : this.#signs(target.end);
    return behind && { value: [{ children: target.value, weight: behind.value }], end: behind.end };
  }

  #weight(at: number): Read<number> | undefined {
    const signs = this.#signs(at);
    if (signs) return signs;
    const number = this.#match(NUMBER, at);
    return number && this.#finite(Number(number.value), number);
  }

  #signs(at: number): Read<number> | undefined {
    const signs = this.#match(SIGNS, at);
    return signs && this.#finite((signs.value.startsWith("+") ? 1.1 : 0.9) ** signs.value.length, signs);
  }

  #finite(value: number, { value: text, end }: Read<string>): Read<number> {
    if (value === Infinity) {
      this.#refuse(`expected a weight, got ${text.slice(0, 20)}…, which no number holds`);
    }
    return { value, end };
  }

  /** Words in quotes or brackets. */
  #group(at: number): Read<Node[]> | undefined {
    const start = this.#skip(at);
    if (!this.#brackets.has(start)) {
      this.#brackets.set(start, this.#quotes(start) ?? this.#parentheses(start));
    }
    return this.#brackets.get(start);
  }

  #quotes(start: number): Read<Node[]> | undefined {
    const quoted = this.#match(QUOTED, start);
    if (!quoted) return undefined;
    if (quoted.value.slice(1, -1).trim() === "") return { value: [{ text: "" }], end: quoted.end };
    const inner = this.#within(quoted.value);
    const read = inner.#fragments(0);
    return inner.#skip(read.end) === inner.#text.length ? { value: read.value, end: quoted.end } : undefined;
  }

  #parentheses(start: number): Read<Node[]> | undefined {
    const open = this.#sign("(", start);
    if (open === undefined) return undefined;
    this.#deeper();
    const inner = this.#fragments(open);
    this.#depth--;
    const end = this.#sign(")", inner.end);
    return end === undefined ? undefined : { value: inner.value, end };
  }

  /** Words, commas and periods, as far as they go. */
  #fragments(at: number): Read<Node[]> {
    const value: Node[] = [];
    for (let end = at;;) {
      const read = this.#attention(end) ?? this.#group(end) ?? this.#words(WORD, end) ??
        this.#words(/[,.]/y, end);
      if (!read) return { value, end };
      value.push(...read.value);
      end = read.end;
    }
  }

  #words(pattern: RegExp, at: number): Read<Node[]> | undefined {
    const found = this.#match(pattern, this.#skip(at));
    return found && { value: [{ text: found.value.replaceAll(/\\+([()"])/g, "$1") }], end: found.end };
  }

  #deeper(): number {
    if (this.#depth === DEEPEST) {
      this.#refuse(`expected at most ${DEEPEST} brackets within each other, got more`);
    }
    return ++this.#depth;
  }

  /** Reads what quotes hold, within which quotes stand behind a backslash. */
  #within(quoted: string): Grammar {
    const depth = this.#deeper();
    this.#depth--;
    return new Grammar(quoted.slice(1, -1).replaceAll(/\\?"/g, '\\"'), this.#refuse, depth);
  }

  #sign(sign: string, at: number): number | undefined {
    const start = this.#skip(at);
    return this.#text.startsWith(sign, start) ? start + sign.length : undefined;
  }

  #skip(at: number): number {
    return this.#match(SPACE, at)!.end;
  }

  #match(pattern: RegExp, at: number): Read<string> | undefined {
    pattern.lastIndex = at;
    const found = pattern.exec(this.#text)?.[0];
    return found === undefined ? undefined : { value: found, end: at + found.length };
  }
}
