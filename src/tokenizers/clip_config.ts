import { z } from "zod";
import { type TokenEntry, tokenEntry } from "./added_tokens.ts";
import {
  type TextTokenizerConfig,
  type TextTokenizerFile,
  textTokenizerKeys,
} from "./text_tokenizer_config.ts";

/** A CLIPTokenizer's config. */
export interface ClipConfig extends TextTokenizerConfig {
  /** Stands in front of every text. */
  bos_token: TokenEntry;
  /** Stands for what the vocabulary lacks. */
  unk_token: TokenEntry;
}

/** Checks a tokenizer_config.json. */
export const clipFile: z.ZodType<TextTokenizerFile> = z.looseObject({
  ...textTokenizerKeys({ length: 77, least: 2 }), // positions of every CLIP
  bos_token: tokenEntry.optional(),
});

/** CLIP's tokens, where its files name no others. */
export const clipRoles = {
  bos_token: "<|startoftext|>",
  eos_token: "<|endoftext|>",
  unk_token: "<|endoftext|>",
  pad_token: "<|endoftext|>",
} as const;
