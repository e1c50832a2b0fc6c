import type { Tokenizer } from "@huggingface/tokenizers";
import { join } from "node:path";
import { z } from "zod";
import { parseConfig, readJson } from "../io/config.ts";
import { contentOf, rolesOf, type TokenEntry, tokensToAdd } from "./added_tokens.ts";
import { AddedVocabulary } from "./added_vocabulary.ts";
import { Codec } from "./codec.ts";
import { readSentencePieceModel } from "./sentencepiece_model.ts";
import { definitionOf, literalPieces, type T5Definition, t5Definition } from "./t5_definition.ts";
import { tokenizerOf } from "./t5_steps.ts";
import {
  TextTokenizer,
  type TextTokenizerConfig,
  type TextTokenizerFile,
  textTokenizerKeys,
} from "./text_tokenizer.ts";
import { type TokenFiles, tokenListing } from "./token_listing.ts";
import { tokenizerFiles, type TokenizerSource } from "./tokenizer_files.ts";

/** A T5TokenizerFast's config. */
export interface T5TokenizerConfig extends TextTokenizerConfig {
  /** Stands for what the vocabulary lacks. */
  unk_token: TokenEntry;
  /** Tokens "<extra_id_0>" and so on, which a spiece.model lacks. */
  extra_ids: number;
}

/** Keys that a file of T5TokenizerConfig may have. */
type T5File = TextTokenizerFile & Pick<T5TokenizerConfig, "extra_ids">;

/** Checks a tokenizer_config.json. */
const t5File: z.ZodType<T5File> = z.looseObject({
  ...textTokenizerKeys({ length: 512, least: 1 }), // of T5 in training, and of Flux
  extra_ids: z.int().min(0).max(10_000).default(100),
});

/** T5's tokens, where its files name no others. */
const t5Roles = { eos_token: "</s>", unk_token: "<unk>", pad_token: "<pad>" } as const;

/** Turns texts into the tokens of T5 (Raffel et al. 2020), as transformers' T5TokenizerFast does. */
export class T5TokenizerFast extends TextTokenizer<T5TokenizerConfig> {
  /**
   * For fromPretrained(), which has read the parts; `where` names the file of the definition in messages,
   * `literal` are pieces of it that are found in a text as they stand.
   */
  constructor(
    definition: T5Definition,
    files: TokenFiles<T5File>,
    where: string,
    literal: readonly TokenEntry[] = [],
  ) {
    const extras = [...literal, ...sentinels(files.config)];
    const listing = tokenListing(files, definition.added_tokens, { roles: t5Roles, extras });
    const config: T5TokenizerConfig = { ...files.config, ...rolesOf(listing, t5Roles) };
    const tokenizer = build(definition, where);
    const { model, normalizer } = tokenizer;
    const added = new AddedVocabulary(
      {
        size: definition.model.vocab.length,
        idOf: (token) => model!.tokens_to_ids.get(token),
        normalize: (text) => normalizer?.normalize(text) ?? text,
      },
      tokensToAdd(listing),
      { splitsSpecial: config.split_special_tokens },
    );
    super(new Codec({ tokenizer, added, front: [], back: [contentOf(config.eos_token)] }), config);
  }

  /** Reads tokenizer.json, or spiece.model alone, from a local folder or a Hugging Face repository. */
  static async fromPretrained<
    Class extends new (...parts: ConstructorParameters<typeof T5TokenizerFast>) => T5TokenizerFast,
  >(
    this: Class,
    pathOrRepo: string,
    { subfolder = "tokenizer_2", ...options }: TokenizerSource = {},
  ): Promise<InstanceType<Class>> {
    const found = await tokenizerFiles(pathOrRepo, { subfolder, ...options });
    const { folder, names, configPath } = found;
    const files = { ...found, config: parseConfig(t5File, found.config, configPath) };
    if (!names.has("tokenizer.json") && names.has("spiece.model")) {
      const path = join(folder, "spiece.model");
      const spiece = await readSentencePieceModel(path);
      const definition = definitionOf(spiece, sentinels(files.config));
      return new this(definition, files, path, literalPieces(spiece)) as InstanceType<Class>;
    }
    const path = join(folder, "tokenizer.json");
    return new this(parseConfig(t5Definition, await readJson(path), path), files, path) as InstanceType<
      Class
    >;
  }
}

function build(definition: T5Definition, where: string): Tokenizer {
  try {
    return tokenizerOf(definition);
  } catch (error) {
    const what = (error as Error).message;
    throw new TypeError(`Cannot load ${where}: ${what.split("\n")[0]}; it is of another kind, or damaged`);
  }
}

/** "<extra_id_0>" and so on. */
function sentinels({ extra_ids }: { extra_ids: number }): string[] {
  return Array.from({ length: extra_ids }, (_, i) => `<extra_id_${i}>`);
}
