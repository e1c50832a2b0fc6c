import { z } from "zod";
import { type AddedToken, addedToken } from "./added_tokens.ts";
import { PIECE, type SentencePieceModel } from "./sentencepiece_model.ts";
import type { T5TokenizerConfig } from "./t5_config.ts";

/** A step of a tokenizer. */
export interface Step {
  /** Which options it has. */
  type: string;
  /** One of them. */
  [option: string]: unknown;
}

/** The text, or a special token beside it. */
export type TemplateItem = { Sequence: { id: string } } | { SpecialToken: { id: string } };

/** A tokenizer.json of a unigram model. */
export interface T5Definition {
  /** Tokens that are found in a text as they stand. */
  added_tokens: (AddedToken & { id: number })[];
  /** What texts go through first. */
  normalizer: Step | null;
  /** How words are found. */
  pre_tokenizer: Step | null;
  /** What is put around the ids of a text. */
  post_processor: { type: "TemplateProcessing"; single: TemplateItem[] } | null;
  /** How a text is made of tokens. */
  decoder: Step | null;
  /** Pieces with the logarithms of their probabilities; see unigram.ts. */
  model: { vocab: [string, number][]; unk_id: number; byte_fallback: boolean };
}

const step = z.looseObject({ type: z.string() }).nullable().default(null);

const item = z.union([
  z.looseObject({ Sequence: z.looseObject({ id: z.string() }) }),
  z.looseObject({ SpecialToken: z.looseObject({ id: z.string() }) }),
]);

/**
 * A number of a tokenizer.json as Hugging Face's tokenizers reads it: its digits as a whole number, divided
 * by a power of ten, each rounded. Of ways to take a word apart that are equally probable, the last bit of a
 * score decides.
 */
function asRustReads(score: number): number {
  const [, whole, fraction] = /^-?(\d+)\.(\d+)$/.exec(`${score}`) ?? [];
  return whole ? Math.sign(score) * Number(whole + fraction) / 10 ** fraction!.length : score;
}

/** Checks a tokenizer.json. */
export const t5Definition: z.ZodType<T5Definition> = z.looseObject({
  added_tokens: z.array(addedToken.extend({ id: z.int().nonnegative() })).default([]),
  normalizer: step,
  pre_tokenizer: step,
  post_processor: z.looseObject({ type: z.literal("TemplateProcessing"), single: z.array(item) })
    .nullable().default(null),
  decoder: step,
  model: z.looseObject({
    type: z.literal("Unigram").default("Unigram"),
    vocab: z.array(z.tuple([z.string(), z.number().transform(asRustReads)])).min(1),
    unk_id: z.int().nonnegative(),
    byte_fallback: z.boolean().default(false),
  }).refine(({ vocab, unk_id }) => unk_id < vocab.length, {
    path: ["unk_id"],
    error: "the number of a piece of the vocabulary",
  }),
});

const METASPACE = { type: "Metaspace", replacement: "▁", prepend_scheme: "always", split: true };

/** The tokenizer.json that transformers makes of a T5's spiece.model. */
export function definitionOf(spiece: SentencePieceModel, config: T5TokenizerConfig): T5Definition {
  const { pieces, unkId, byteFallback, charsmap } = spiece;
  const vocab = pieces.map(({ text, score }): [string, number] => [text, score]);
  const known = new Set(pieces.map(({ text }) => text));
  for (let i = config.extra_ids - 1; i >= 0; i--) { // the first of them has the highest number
    if (!known.has(extraId(i))) vocab.push([extraId(i), 0]);
  }
  return {
    added_tokens: addedTokens(spiece, config, vocab),
    normalizer: charsmap ? { type: "Precompiled", precompiled_charsmap: charsmap } : null,
    pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "WhitespaceSplit" }, METASPACE] },
    post_processor: {
      type: "TemplateProcessing",
      single: [{ Sequence: { id: "A" } }, { SpecialToken: { id: config.eos_token.content } }],
    },
    decoder: METASPACE,
    model: { vocab, unk_id: unkId, byte_fallback: byteFallback },
  };
}

const extraId = (i: number) => `<extra_id_${i}>`;

/**
 * Special tokens, and pieces that are found in a text as they stand.
 * A token without a piece gets the next free id.
 */
function addedTokens(
  { pieces }: SentencePieceModel,
  config: T5TokenizerConfig,
  vocab: readonly (readonly [string, number])[],
): T5Definition["added_tokens"] {
  const literal = (content: string, special = true): AddedToken => ({
    content,
    special,
    lstrip: false,
    rstrip: false,
    single_word: false,
    normalized: false,
  });
  const tokens = [
    ...pieces.filter(({ type }) => type === PIECE.CONTROL || type === PIECE.USER_DEFINED)
      .map(({ text, type }) => literal(text, type === PIECE.CONTROL)),
    ...Array.from({ length: config.extra_ids }, (_, i) => literal(extraId(i))),
    ...config.additional_special_tokens,
    config.pad_token,
    config.eos_token,
    config.unk_token,
  ];
  const ids = new Map(vocab.map(([text], id) => [text, id]));
  const last = new Map(tokens.map((token) => [token.content, token])); // of several descriptions the last counts
  return [...last.values()].map((token) => {
    const id = ids.get(token.content) ?? ids.size;
    ids.set(token.content, id);
    return { ...token, id };
  });
}
