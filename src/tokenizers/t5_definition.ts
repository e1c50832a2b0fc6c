import { z } from "zod";
import { completeToken, type DescribedToken, type NumberedToken, numberedToken } from "./added_tokens.ts";
import { PIECE, type SentencePieceModel } from "./sentencepiece_model.ts";

/** A step of a tokenizer. */
export interface Step {
  /** Which options it has. */
  type: string;
  /** One of them. */
  [option: string]: unknown;
}

/** A tokenizer.json of a unigram model. */
export interface T5Definition {
  /** Tokens that are found in a text as they stand. */
  added_tokens: NumberedToken[];
  /** The first step, from text to text. */
  normalizer: Step | null;
  /** Cuts a text into words. */
  pre_tokenizer: Step | null;
  /** Makes a text of tokens. */
  decoder: Step | null;
  /** Pieces with the logarithms of their probabilities; see unigram.ts. */
  model: { vocab: [string, number][]; unk_id: number; byte_fallback: boolean };
}

const step = z.looseObject({ type: z.string() }).nullable().default(null);

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
  added_tokens: z.array(numberedToken).default([]),
  normalizer: step,
  pre_tokenizer: step,
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

/** The tokenizer.json that transformers makes of a T5's spiece.model, which lacks the tokens `sentinels`. */
export function definitionOf(spiece: SentencePieceModel, sentinels: readonly string[]): T5Definition {
  const { pieces, unkId, byteFallback, charsmap } = spiece;
  const known = new Set(pieces.map(({ text }) => text));
  const more = sentinels.filter((text) => !known.has(text)).reverse(); // the first of them has the highest number
  return {
    added_tokens: [],
    normalizer: charsmap ? { type: "Precompiled", precompiled_charsmap: charsmap } : null,
    pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "WhitespaceSplit" }, METASPACE] },
    decoder: METASPACE,
    model: {
      vocab: [
        ...pieces.map(({ text, score }): [string, number] => [text, score]),
        ...more.map((text): [string, number] => [text, 0]),
      ],
      unk_id: unkId,
      byte_fallback: byteFallback,
    },
  };
}

/** Pieces of a spiece.model that are found in a text as they stand. */
export function literalPieces({ pieces }: SentencePieceModel): DescribedToken[] {
  return pieces.filter(({ type }) => type === PIECE.CONTROL || type === PIECE.USER_DEFINED)
    .map(({ text, type }) => ({ ...completeToken(text), special: type === PIECE.CONTROL }));
}
