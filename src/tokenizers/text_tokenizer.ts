import { z } from "zod";
import { expectOptions } from "../core/error.ts";
import { type AddedToken, completeToken, contentOf, type TokenEntry } from "./added_tokens.ts";
import type { Codec } from "./codec.ts";
import { type Shape, type TokenKeys, tokenKeys } from "./token_listing.ts";

/** Config of every tokenizer: the keys of tokenizer_config.json that decide its result. */
export interface TextTokenizerConfig {
  /** Stands behind every text. */
  eos_token: TokenEntry;
  /** Fills rows up: "<|endoftext|>" of SD 1, "!" of SD 2, "<pad>" of T5. */
  pad_token: TokenEntry;
  /** Tokens that the model reads at most. */
  model_max_length: number;
  /** The end at which rows are filled up. */
  padding_side: "right" | "left";
  /** The end at which rows are cut. */
  truncation_side: "right" | "left";
  /** Takes special tokens in a text apart like other text. */
  split_special_tokens: boolean;
}

/**
 * Keys that a file of TextTokenizerConfig may have; special_tokens_map.json and a class's own tokens complete
 * it.
 */
export type TextTokenizerFile = TokenKeys & Omit<TextTokenizerConfig, "eos_token" | "pad_token">;

/**
 * The schemas of TextTokenizerFile. A file may lack the length, or hold transformers' 10³⁰ for "no limit":
 * then it is `length`.
 */
export function textTokenizerKeys(
  { length, least }: { length: number; least: number },
): Shape<TextTokenizerFile> {
  return {
    ...tokenKeys,
    model_max_length: z.number().min(least).nullish().transform((n) => n && n < 1e9 ? Math.floor(n) : length),
    padding_side: z.enum(["right", "left"]).default("right"),
    truncation_side: z.enum(["right", "left"]).default("right"),
    split_special_tokens: z.boolean().nullish().transform(Boolean),
  };
}

/** Options of a tokenizer's `encode`. */
export interface EncodeOptions {
  /** Tokens in a row, those in front and behind included; by default as many as the model reads. */
  maxLength?: number | undefined;
  /** Length to which rows are filled: maxLength (the default), the longest row, or their own. */
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
  /** The part of each text that was cut off, "" where nothing was. [B] */
  truncated: string[];
}

/** Turns texts into rows of ids, cut and filled up to one length. */
export abstract class TextTokenizer<Config extends TextTokenizerConfig> {
  /** The keys of tokenizer_config.json, defaults filled in. */
  readonly config: Config;
  #codec: Codec;
  /** Tokens that were added to it here, by their ids. */
  readonly #further = new Map<number, AddedToken>();
  /** Ids that a token stands for, by the first of them. */
  readonly #runs = new Map<number, readonly number[]>();

  /** For a tokenizer of a class: what reads and writes its ids, and its config. */
  constructor(codec: Codec, config: Config) {
    this.#codec = codec;
    this.config = config;
  }

  /** Tokens that the model reads at most: 77 of CLIP. */
  get modelMaxLength(): number {
    return this.config.model_max_length;
  }

  /** The id that rows are filled up with. */
  get padTokenId(): number {
    return this.#codec.idOf(contentOf(this.config.pad_token))!;
  }

  /**
   * Adds a token, which stands for `count` ids in a row, e.g. the embeddings of a textual inversion; texts find it in
   * any case of letters, as transformers' add_tokens. Returns the ids, which are new ones.
   */
  addToken(token: string, count = 1): readonly number[] {
    if (token === "" || this.#codec.idOf(token) !== undefined) {
      const got = token === "" ? "no letters" : "one that the tokenizer knows";
      throw new RangeError(
        `Cannot add the token ${JSON.stringify(token)}: expected a new one, got ${got}; name another`,
      );
    }
    const first = Math.max(this.#codec.free, ...[...this.#further.keys()].map((id) => id + 1));
    const ids = Array.from({ length: count }, (_, i) => first + i);
    for (const [i, id] of ids.entries()) {
      const content = i === 0 ? token : `${token}_${i}`; // diffusers' names
      this.#further.set(
        id,
        completeToken({ content, lstrip: false, rstrip: false, single_word: false, special: false }),
      );
    }
    this.#runs.set(first, ids);
    this.#codec = this.#codec.with(this.#further);
    return ids;
  }

  /** Takes a token out that `addToken` added; returns its ids. */
  removeToken(token: string): readonly number[] {
    const ids = this.#runs.get(this.#codec.idOf(token) ?? -1);
    if (!ids) throw new RangeError(`Cannot remove the token ${JSON.stringify(token)}: it was not added`);
    for (const id of ids) this.#further.delete(id);
    this.#runs.delete(ids[0]!);
    this.#codec = this.#codec.with(this.#further);
    return ids;
  }

  /** Texts as rows of ids, cut and filled up to one length unless `options` say otherwise. */
  encode(
    texts: string | readonly string[],
    options: EncodeOptions = {},
  ): Encoding {
    expectOptions("tokenize", options, ["maxLength", "padding", "truncation"]);
    const { maxLength = this.modelMaxLength, padding = "max_length", truncation = true } = options;
    const { front, back } = this.#codec;
    const least = front.length + back.length;
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
    options: { skipSpecialTokens?: boolean } = {},
  ): string {
    expectOptions("decode ids", options, ["skipSpecialTokens"]);
    return this.#codec.decode(ids, options.skipSpecialTokens ?? false);
  }

  /** The ids of a text without those around it, a list for each token: those of `addToken` have several. */
  pieces(text: string): (readonly number[])[] {
    if (typeof text === "string") {
      return this.#codec.encode(text.toWellFormed()).map((id) => this.#runs.get(id) ?? [id]);
    }
    throw new TypeError(`Cannot tokenize ${text}: expected a text or a list of texts, got ${typeof text}`);
  }

  /** Ids with those around every text, filled up to the length that the model reads. */
  filledRow(ids: readonly number[]): number[] {
    const { front, back } = this.#codec;
    return this.#fill([...front, ...ids, ...back], this.modelMaxLength, this.padTokenId);
  }

  /** The tokens of ids, as the vocabulary has them: "cat</w>". */
  convertIdsToTokens(ids: readonly number[]): string[] {
    return ids.map((id) => this.#codec.tokenOf(id));
  }

  #tokens(text: string): number[] {
    const { front, back } = this.#codec;
    return [...front, ...this.pieces(text).flat(), ...back];
  }

  /** A row of at most `length` ids, which keeps what stands around the text, and the ids that it lost. */
  #cut(row: number[], length: number): { ids: number[]; rest: number[] } {
    const excess = row.length - length;
    if (excess <= 0) return { ids: row, rest: [] };
    const { front, back } = this.#codec;
    const start = this.config.truncation_side === "right" ? length - back.length : front.length;
    return { ids: row.toSpliced(start, excess), rest: row.slice(start, start + excess) };
  }

  #fill(row: number[], length: number, value: number): number[] {
    const filling = new Array<number>(Math.max(0, length - row.length)).fill(value);
    return this.config.padding_side === "right" ? [...row, ...filling] : [...filling, ...row];
  }
}
