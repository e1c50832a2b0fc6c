import { z } from "zod";
import type { TokenEntry } from "./added_tokens.ts";
import {
  type TextTokenizerConfig,
  type TextTokenizerFile,
  textTokenizerKeys,
} from "./text_tokenizer_config.ts";

/** A T5TokenizerFast's config. */
export interface T5TokenizerConfig extends TextTokenizerConfig {
  /** Stands for what the vocabulary lacks. */
  unk_token: TokenEntry;
  /** Tokens "<extra_id_0>" and so on, which a spiece.model lacks. */
  extra_ids: number;
}

/** Keys that a file of T5TokenizerConfig may have. */
export type T5File = TextTokenizerFile & Pick<T5TokenizerConfig, "extra_ids">;

/** Checks a tokenizer_config.json. */
export const t5File: z.ZodType<T5File> = z.looseObject({
  ...textTokenizerKeys({ length: 512, least: 1 }), // of T5 in training, and of Flux
  extra_ids: z.int().min(0).max(10_000).default(100),
});

/** T5's tokens, where its files name no others. */
export const t5Roles = { eos_token: "</s>", unk_token: "<unk>", pad_token: "<pad>" } as const;

/** "<extra_id_0>" and so on. */
export function sentinels({ extra_ids }: { extra_ids: number }): string[] {
  return Array.from({ length: extra_ids }, (_, i) => `<extra_id_${i}>`);
}
