import type { Tokenizer } from "@huggingface/tokenizers";
import { join } from "node:path";
import { parseConfig, readJson } from "../io/config.ts";
import { quote } from "../io/refusal.ts";
import { readSentencePieceModel } from "./sentencepiece_model.ts";
import { type T5TokenizerConfig, t5TokenizerConfig } from "./t5_config.ts";
import { definitionOf, type T5Definition, t5Definition } from "./t5_definition.ts";
import { tokenizerOf } from "./t5_steps.ts";
import { type Edges, TextTokenizer } from "./text_tokenizer.ts";
import { tokenizerFiles, type TokenizerSource } from "./tokenizer_files.ts";

/** Turns texts into the tokens of T5 (Raffel et al. 2020), as transformers' T5TokenizerFast does. */
export class T5TokenizerFast extends TextTokenizer<T5TokenizerConfig> {
  /** For fromPretrained(), which has read the parts; `where` names the file of the definition in messages. */
  constructor(definition: T5Definition, config: T5TokenizerConfig, where: string) {
    const tokenizer = build(definition, where);
    const { content } = config.pad_token;
    if (tokenizer.token_to_id(content) === undefined) {
      throw new TypeError(
        `Cannot load ${where}: expected the pad token ${quote(content)} in the vocabulary, got none; ` +
          "take all files from one tokenizer",
      );
    }
    super(tokenizer, config, edgesOf(definition));
  }

  /** Reads tokenizer.json, or spiece.model alone, from a local folder or a Hugging Face repository. */
  static async fromPretrained(
    pathOrRepo: string,
    { subfolder = "tokenizer_2", ...options }: TokenizerSource = {},
  ): Promise<T5TokenizerFast> {
    const { folder, names, json, configPath } = await tokenizerFiles(pathOrRepo, { subfolder, ...options });
    const config = parseConfig(t5TokenizerConfig, json, configPath);
    if (!names.has("tokenizer.json") && names.has("spiece.model")) {
      const path = join(folder, "spiece.model");
      return new T5TokenizerFast(definitionOf(await readSentencePieceModel(path), config), config, path);
    }
    const path = join(folder, "tokenizer.json");
    return new T5TokenizerFast(parseConfig(t5Definition, await readJson(path), path), config, path);
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

function edgesOf({ post_processor }: T5Definition): Edges {
  if (!post_processor) return { front: 0, back: 0 };
  const { single } = post_processor;
  const front = Math.max(0, single.findIndex((item) => "Sequence" in item));
  return { front, back: Math.max(0, single.length - front - 1) };
}
