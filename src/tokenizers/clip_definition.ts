import { type AddedToken, numberTokens } from "./added_tokens.ts";
import type { ClipConfig } from "./clip_config.ts";
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
 * CLIP's tokenizer.json, which most repositories of Stable Diffusion lack;
 * transformers makes the same in memory.
 */
export function clipDefinition({ vocab, merges, addedTokens }: ClipVocabulary, config: ClipConfig): object {
  const added = numberTokens(vocab, config.added_tokens_decoder ? inOrder(config) : addedTokens, config);
  const numbered = (
    { content }: AddedToken,
  ) => [content, added.find((token) => token.content === content)!.id];
  const split = (Regex: string) => ({ type: "Split", pattern: { Regex }, behavior: "Removed", invert: true });
  return {
    added_tokens: added,
    normalizer: {
      type: "Sequence",
      normalizers: [
        { type: "NFC" },
        { type: "Replace", pattern: { Regex: String.raw`\s+` }, content: " " },
        // JavaScript has another small sigma for the ends of words; transformers lowers letter by letter.
        { type: "Replace", pattern: { String: "Σ" }, content: "σ" },
        { type: "Lowercase" },
        { type: "Replace", pattern: { Regex: lookalikes(added) }, content: " $&" },
      ],
    },
    pre_tokenizer: {
      type: "Sequence",
      pretokenizers: [split(words), split(parts), { type: "ByteLevel", use_regex: false }],
    },
    post_processor: {
      type: "RobertaProcessing",
      cls: numbered(config.bos_token),
      sep: numbered(config.eos_token),
    },
    decoder: { type: "ByteLevel" },
    model: { type: "BPE", vocab, merges, unk_token: config.unk_token.content, end_of_word_suffix: "</w>" },
  };
}

function inOrder({ added_tokens_decoder = {} }: ClipConfig): AddedToken[] {
  return Object.entries(added_tokens_decoder).sort(([a], [b]) => Number(a) - Number(b)).map(([, token]) =>
    token
  );
}

/**
 * Finds what looks like a token only once it is in lower case, "<|ENDOFTEXT|>", where the token is wanted to
 * the letter. The library takes it for the token where it stands alone between others, unless a space is put
 * in front.
 */
function lookalikes(added: readonly AddedToken[]): string {
  const any = (tokens: readonly AddedToken[]) =>
    tokens.map(({ content }) => literally(content.toLowerCase()));
  const others = any(added.filter(({ normalized }) => normalized));
  const exact = any(added.filter(({ normalized }) => !normalized));
  return `(?<=${["^", ...others].join("|")})(?:${exact.join("|")})(?=${["$", ...others].join("|")})`;
}

/** A regular expression for a text itself. */
function literally(text: string): string {
  return text.replace(/[^\p{L}\p{N}]/gu, "\\$&");
}
