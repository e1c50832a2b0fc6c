import { contentOf, type TokenEntry } from "./added_tokens.ts";
import type { ClipVocabulary } from "./clip_vocabulary.ts";

const contractions = "'s|'t|'re|'ve|'m|'ll|'d";

/**
 * CLIP's words: special tokens, contractions, runs of letters,
 * single digits, runs of anything else but space.
 */
const words = String.raw`<\|startoftext\|>|<\|endoftext\|>|${contractions}|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+`;

/**
 * GPT-2's words, into which transformers takes CLIP's words apart: a typed "<|endoftext|>" becomes three. The
 * library's ByteLevel would do it too, but takes U+FEFF for a space.
 */
const parts = String.raw`${contractions}|\p{L}+|\p{N}+|[^\p{L}\p{N}]+`;

/**
 * CLIP's tokenizer.json, which most repositories of Stable Diffusion lack; transformers makes the same in
 * memory. Without added tokens, and without those around a text: see codec.ts.
 */
export function clipDefinition({ vocab, merges }: ClipVocabulary, unknown: TokenEntry): object {
  const split = (Regex: string) => ({ type: "Split", pattern: { Regex }, behavior: "Removed", invert: true });
  return {
    added_tokens: [],
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "NFC" },
        { type: "Replace", pattern: { Regex: String.raw`\s+` }, content: " " },
        // JavaScript has another small sigma for the ends of words; transformers lowers letter by letter.
        { type: "Replace", pattern: { String: "Σ" }, content: "σ" },
        { type: "Lowercase" },
      ],
    },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [split(words), split(parts), { type: "ByteLevel", use_regex: false }],
    },
    post_processor: null,
    decoder: { type: "ByteLevel" },
    model: {
      type: "BPE",
      vocab,
      merges,
      unk_token: contentOf(unknown),
      end_of_word_suffix: "</w>",
    },
  };
}
