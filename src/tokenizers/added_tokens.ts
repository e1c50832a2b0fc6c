import { z } from "zod";
import type { ClipConfig } from "./clip_config.ts";

/** A token that is found in a text as it stands, before the text is taken apart. */
export interface AddedToken {
  /** What stands in the text. */
  content: string;
  /** Takes the spaces before it with it. */
  lstrip: boolean;
  /** Takes the spaces behind it with it. */
  rstrip: boolean;
  /** Found in whole words only. */
  single_word: boolean;
  /** Searched for in the normalized text, so in any case of letters. */
  normalized: boolean;
  /** Left out by `decode` on request. */
  special: boolean;
}

/** An added token as tokenizer.json and tokenizer_config.json write it. */
export const addedToken = z.looseObject({
  content: z.string().min(1),
  lstrip: z.boolean().default(false),
  rstrip: z.boolean().default(false),
  single_word: z.boolean().default(false),
  normalized: z.boolean().default(true),
  special: z.boolean().default(false),
}) satisfies z.ZodType<AddedToken>;

/** The roles of special tokens, in the order in which transformers adds them. */
export const roles = ["bos_token", "eos_token", "unk_token", "pad_token"] as const;

/**
 * All added tokens with their ids, by transformers' rules: what the files list, then the tokens that have a
 * role, of which the last description counts. A token that the vocabulary lacks gets the next free id.
 */
export function numberTokens(
  vocab: Readonly<Record<string, number>>,
  listed: readonly AddedToken[],
  config: ClipConfig,
): (AddedToken & { id: number })[] {
  const tokens = new Map(listed.map((token) => [token.content, token]));
  for (const role of roles) {
    const token = config[role];
    const isListed = listed.some(({ content }) => content === token.content);
    if (!isListed) tokens.set(token.content, { ...token, special: true });
  }
  let free = Object.keys(vocab).length;
  return [...tokens.values()].map((token) => ({
    ...token,
    id: Object.hasOwn(vocab, token.content) ? vocab[token.content]! : free++,
  }));
}
