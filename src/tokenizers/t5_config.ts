import { z } from "zod";
import { type AddedToken, addedToken } from "./added_tokens.ts";
import type { TextTokenizerConfig } from "./text_tokenizer.ts";

/** A T5TokenizerFast's config: the keys of tokenizer_config.json that decide what it gives. */
export interface T5TokenizerConfig extends TextTokenizerConfig {
  /** Stands behind every text. */
  eos_token: AddedToken;
  /** Stands for what the vocabulary lacks. */
  unk_token: AddedToken;
  /** Tokens "<extra_id_0>" and so on, which a spiece.model lacks. */
  extra_ids: number;
  /** Tokens beside the vocabulary. */
  additional_special_tokens: AddedToken[];
}

/** A special token is its text, or a description of it. */
const token = z.preprocess(
  (value) => typeof value === "string" ? { content: value, normalized: false, special: true } : value,
  addedToken,
);

const LENGTH = 512; // of T5 in training, and of Flux; a file may lack it, or hold transformers' 10³⁰ for "no limit"

/** Checks a tokenizer_config.json and fills in transformers' defaults. */
export const t5TokenizerConfig: z.ZodType<T5TokenizerConfig> = z.looseObject({
  eos_token: token.prefault("</s>"),
  unk_token: token.prefault("<unk>"),
  pad_token: token.prefault("<pad>"),
  extra_ids: z.int().min(0).max(10_000).default(100),
  additional_special_tokens: z.array(token).nullish().transform((tokens) => tokens ?? []),
  model_max_length: z.number().min(1).default(LENGTH).transform((n) => n < 1e9 ? Math.floor(n) : LENGTH),
  padding_side: z.enum(["right", "left"]).default("right"),
  truncation_side: z.enum(["right", "left"]).default("right"),
});
