import { z } from "zod";
import type { TokenEntry } from "./added_tokens.ts";
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
