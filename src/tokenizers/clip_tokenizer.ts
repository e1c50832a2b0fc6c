import { Tokenizer } from "@huggingface/tokenizers";
import { z } from "zod";
import { parseConfig } from "../io/config.ts";
import { contentOf, rolesOf, type TokenEntry, tokenEntry, tokensToAdd } from "./added_tokens.ts";
import { AddedVocabulary } from "./added_vocabulary.ts";
import { type BpeVocabulary, readVocabulary } from "./bpe_vocabulary.ts";
import { Codec } from "./codec.ts";
import {
  TextTokenizer,
  type TextTokenizerConfig,
  type TextTokenizerFile,
  textTokenizerKeys,
} from "./text_tokenizer.ts";
import { type TokenFiles, tokenListing } from "./token_listing.ts";
import { tokenizerFiles, type TokenizerSource } from "./tokenizer_files.ts";

/** A CLIPTokenizer's config. */
export interface ClipConfig extends TextTokenizerConfig {
  /** Stands in front of every text. */
  bos_token: TokenEntry;
  /** Stands for what the vocabulary lacks. */
  unk_token: TokenEntry;
}

/** Checks a tokenizer_config.json. */
const clipFile: z.ZodType<TextTokenizerFile> = z.looseObject({
  ...textTokenizerKeys({ length: 77, least: 2 }), // positions of every CLIP
  bos_token: tokenEntry.optional(),
});

/** CLIP's tokens, where its files name no others. */
const clipRoles = {
  bos_token: "<|startoftext|>",
  eos_token: "<|endoftext|>",
  unk_token: "<|endoftext|>",
  pad_token: "<|endoftext|>",
} as const;

/** Turns texts into the tokens of CLIP (Radford et al. 2021), as transformers' CLIPTokenizer does. */
export class CLIPTokenizer extends TextTokenizer<ClipConfig> {
  /** For fromPretrained(), which has read the parts. */
  constructor(vocabulary: BpeVocabulary, files: TokenFiles<TextTokenizerFile>) {
    const listing = tokenListing(files, vocabulary.addedTokens, { roles: clipRoles });
    const config: ClipConfig = { ...files.config, ...rolesOf(listing, clipRoles) };
    const tokenizer = new Tokenizer(clipDefinition(vocabulary, config.unk_token), {});
    const added = new AddedVocabulary(
      {
        size: Object.keys(vocabulary.vocab).length,
        idOf: (token) => Object.hasOwn(vocabulary.vocab, token) ? vocabulary.vocab[token] : undefined,
        normalize: (text) => tokenizer.normalizer!.normalize(text),
      },
      tokensToAdd(listing),
      { splitsSpecial: config.split_special_tokens },
    );
    const [front, back] = [[contentOf(config.bos_token)], [contentOf(config.eos_token)]];
    super(new Codec({ tokenizer, added, front, back }), config);
  }

  /**
   * Reads tokenizer.json, or vocab.json with merges.txt, from a local folder or a Hugging Face repository.
   */
  static async fromPretrained<
    Class extends new (...parts: ConstructorParameters<typeof CLIPTokenizer>) => CLIPTokenizer,
  >(
    this: Class,
    pathOrRepo: string,
    { subfolder = "tokenizer", ...options }: TokenizerSource = {},
  ): Promise<InstanceType<Class>> {
    const { folder, names, config, configPath, ...files } = await tokenizerFiles(pathOrRepo, {
      subfolder,
      ...options,
    });
    const parsed = parseConfig(clipFile, config, configPath);
    return new this(await readVocabulary(folder, names), { ...files, config: parsed }) as InstanceType<Class>;
  }
}

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
function clipDefinition({ vocab, merges }: BpeVocabulary, unknown: TokenEntry): object {
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
