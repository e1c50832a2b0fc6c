import { Tokenizer } from "@huggingface/tokenizers";
import { parseConfig } from "../io/config.ts";
import { contentOf, rolesOf, tokensToAdd } from "./added_tokens.ts";
import { AddedVocabulary } from "./added_vocabulary.ts";
import { type ClipConfig, clipFile, clipRoles } from "./clip_config.ts";
import { clipDefinition } from "./clip_definition.ts";
import { type ClipVocabulary, readVocabulary } from "./clip_vocabulary.ts";
import { Codec } from "./codec.ts";
import { TextTokenizer } from "./text_tokenizer.ts";
import type { TextTokenizerFile } from "./text_tokenizer_config.ts";
import { type TokenFiles, tokenListing } from "./token_listing.ts";
import { tokenizerFiles, type TokenizerSource } from "./tokenizer_files.ts";

/** Turns texts into the tokens of CLIP (Radford et al. 2021), as transformers' CLIPTokenizer does. */
export class CLIPTokenizer extends TextTokenizer<ClipConfig> {
  /** For fromPretrained(), which has read the parts. */
  constructor(vocabulary: ClipVocabulary, files: TokenFiles<TextTokenizerFile>) {
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
