import type { Tokenizer } from "@huggingface/tokenizers";
import type { AddedToken } from "./added_tokens.ts";

/** Options of a tokenizer's `encode`. */
export interface EncodeOptions {
  /** Tokens in a row, those in front and behind included; by default as many as the model reads. */
  maxLength?: number | undefined;
  /** How far rows are filled up: to maxLength (as by default), to the longest row, or not at all. */
  padding?: "max_length" | "longest" | false | undefined;
  /** Cuts rows that are longer than maxLength, as by default. */
  truncation?: boolean | undefined;
}

/** Texts as numbers. */
export interface Encoding {
  /** Ids of the tokens. [B, N] */
  inputIds: number[][];
  /** 1 for tokens, 0 for what rows are filled up with. [B, N] */
  attentionMask: number[][];
  /** What was cut off of each text, "" where nothing was. [B] */
  truncated: string[];
}

/** What the config of every tokenizer has. */
export interface TextTokenizerConfig {
  /** Fills rows up. */
  pad_token: AddedToken;
  /** Tokens that the model reads at most. */
  model_max_length: number;
  /** Where rows are filled up. */
  padding_side: "right" | "left";
  /** Where rows are cut. */
  truncation_side: "right" | "left";
}

/** How many special tokens stand around every text. */
export interface Edges {
  /** Before it. */
  readonly front: number;
  /** Behind it. */
  readonly back: number;
}

/** Turns texts into rows of ids, cut and filled up to one length. */
export abstract class TextTokenizer<Config extends TextTokenizerConfig> {
  /** The keys of tokenizer_config.json, defaults filled in. */
  readonly config: Config;
  readonly #tokenizer: Tokenizer;
  readonly #edges: Edges;

  /** For a tokenizer that puts as many special tokens around a text as `edges` says. */
  constructor(tokenizer: Tokenizer, config: Config, edges: Edges) {
    this.#tokenizer = tokenizer;
    this.config = config;
    this.#edges = edges;
  }

  /** Tokens that the model reads at most: 77 of CLIP. */
  get modelMaxLength(): number {
    return this.config.model_max_length;
  }

  /** The id that rows are filled up with. */
  get padTokenId(): number {
    return this.#tokenizer.token_to_id(this.config.pad_token.content)!;
  }

  /** Texts as rows of ids, cut and filled up to one length unless `options` say otherwise. */
  encode(
    texts: string | readonly string[],
    { maxLength = this.modelMaxLength, padding = "max_length", truncation = true }: EncodeOptions = {},
  ): Encoding {
    const least = this.#edges.front + this.#edges.back;
    if (!Number.isSafeInteger(maxLength) || maxLength < least) {
      throw new RangeError(
        `Cannot tokenize to maxLength ${maxLength}: expected a whole number from ${least}`,
      );
    }
    const rows = [texts].flat().map((text) => this.#tokens(text));
    const cut = rows.map((row) => truncation ? this.#cut(row, maxLength) : { ids: row, rest: [] });
    const longest = Math.max(0, ...cut.map(({ ids }) => ids.length));
    const length = padding === false ? 0 : padding === "longest" ? longest : maxLength;
    return {
      inputIds: cut.map(({ ids }) => this.#fill(ids, length, this.padTokenId)),
      attentionMask: cut.map(({ ids }) => this.#fill(ids.map(() => 1), length, 0)),
      truncated: cut.map(({ rest }) => this.decode(rest)),
    };
  }

  /** The text that ids stand for, as far as the tokenizer kept it. */
  decode(
    ids: readonly number[],
    { skipSpecialTokens = false }: { skipSpecialTokens?: boolean } = {},
  ): string {
    if (ids.length === 0) return ""; // which the library refuses
    const options = { skip_special_tokens: skipSpecialTokens, clean_up_tokenization_spaces: false };
    return this.#tokenizer.decode([...ids], options).trim();
  }

  #tokens(text: string): number[] {
    if (typeof text === "string") return this.#tokenizer.encode(text.toWellFormed()).ids;
    throw new TypeError(`Cannot tokenize ${text}: expected a text or a list of texts, got ${typeof text}`);
  }

  /** A row of at most `length` ids, which keeps what stands around the text, and the ids that it lost. */
  #cut(row: number[], length: number): { ids: number[]; rest: number[] } {
    const excess = row.length - length;
    if (excess <= 0) return { ids: row, rest: [] };
    const { front, back } = this.#edges;
    const start = this.config.truncation_side === "right" ? length - back : front;
    return { ids: row.toSpliced(start, excess), rest: row.slice(start, start + excess) };
  }

  #fill(row: number[], length: number, value: number): number[] {
    const filling = new Array<number>(Math.max(0, length - row.length)).fill(value);
    return this.config.padding_side === "right" ? [...row, ...filling] : [...filling, ...row];
  }
}
