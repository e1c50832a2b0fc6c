import { z } from "zod";
import { type AddedToken, addedToken } from "./added_tokens.ts";

/** A CLIPTokenizer's config: the keys of tokenizer_config.json that decide what it gives. */
export interface ClipConfig {
  /** Stands in front of every text. */
  bos_token: AddedToken;
  /** Stands behind every text. */
  eos_token: AddedToken;
  /** Stands for what the vocabulary lacks. */
  unk_token: AddedToken;
  /** Fills rows up: "<|endoftext|>" of SD 1, "!" of SD 2. */
  pad_token: AddedToken;
  /** Tokens that the model reads at most. */
  model_max_length: number;
  /** Where rows are filled up. */
  padding_side: "right" | "left";
  /** Where rows are cut. */
  truncation_side: "right" | "left";
  /** Tokens beside the vocabulary, by their ids. */
  added_tokens_decoder?: Record<string, AddedToken> | undefined;
}

/** A special token is its text, or a description of it. */
const token = z.preprocess(
  (value) => typeof value === "string" ? { content: value, normalized: false } : value,
  addedToken,
);

const POSITIONS = 77; // of every CLIP; a file may lack the number, or hold transformers' 10³⁰ for "no limit"

/** Checks a tokenizer_config.json and fills in transformers' defaults. */
export const clipConfig: z.ZodType<ClipConfig> = z.looseObject({
  bos_token: token.prefault("<|startoftext|>"),
  eos_token: token.prefault("<|endoftext|>"),
  unk_token: token.prefault("<|endoftext|>"),
  pad_token: token.prefault("<|endoftext|>"),
  model_max_length: z.number().min(2).default(POSITIONS).transform((n) =>
    n < 1e9 ? Math.floor(n) : POSITIONS
  ),
  padding_side: z.enum(["right", "left"]).default("right"),
  truncation_side: z.enum(["right", "left"]).default("right"),
  added_tokens_decoder: z.record(z.string(), addedToken).optional(),
});
