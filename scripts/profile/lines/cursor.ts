import { type Token, tokensOf } from "./tokens.ts";

/** The tokens of a text, taken one after the other. */
export class Cursor {
  readonly #text: string;
  readonly #tokens: Token[];
  #next = 0;

  constructor(text: string) {
    this.#text = text;
    this.#tokens = tokensOf(text);
  }

  /** The next token. */
  get token(): Token {
    return this.#tokens[this.#next]!;
  }

  /** Behind the last token that was taken. */
  get end(): number {
    return this.#tokens[this.#next - 1]!.end;
  }

  /** True if the next token has this text. */
  is(text: string): boolean {
    return this.token.text === text;
  }

  /** Takes the next token if it has this text. */
  take(text: string): boolean {
    if (!this.is(text)) return false;
    this.advance();
    return true;
  }

  /** Takes the next token. */
  advance(): Token {
    const token = this.token;
    if (token.kind === "end") throw this.unexpected("more");
    this.#next++;
    return token;
  }

  /** Takes a `>`, or the first of a `>>`, `>=` or `>>=`. */
  closes(): boolean {
    const token = this.token;
    if (token.text[0] !== ">" || token.kind !== "sign") return false;
    if (token.text === ">") this.advance();
    else this.#tokens[this.#next] = { ...token, at: token.at + 1, text: token.text.slice(1) };
    return true;
  }

  /** Takes the next token, which must have this text. */
  expect(text: string): Token {
    if (!this.is(text)) throw this.unexpected(`"${text}"`);
    return this.advance();
  }

  /** Takes a name. */
  word(): string {
    if (this.token.kind !== "word") throw this.unexpected("a name");
    return this.advance().text;
  }

  /** An error that tells its line. */
  unexpected(what: string): Error {
    const { at, text } = this.token;
    const line = this.#text.slice(0, at).split("\n").length;
    return new Error(`expected ${what} in line ${line}, got ${text ? `"${text}"` : "the end"}`);
  }
}
