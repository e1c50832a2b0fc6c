import { Tokenizer } from "@huggingface/tokenizers";
import { parseConfig } from "../io/config.ts";
import { type ClipConfig, clipConfig } from "./clip_config.ts";
import { clipDefinition } from "./clip_definition.ts";
import { type ClipVocabulary, readVocabulary } from "./clip_vocabulary.ts";
import { TextTokenizer } from "./text_tokenizer.ts";
import { tokenizerFiles, type TokenizerSource } from "./tokenizer_files.ts";

/** Turns texts into the tokens of CLIP (Radford et al. 2021), as transformers' CLIPTokenizer does. */
export class CLIPTokenizer extends TextTokenizer<ClipConfig> {
  /** For fromPretrained(), which has read the parts. */
  constructor(vocabulary: ClipVocabulary, config: ClipConfig) {
    super(new Tokenizer(clipDefinition(vocabulary, config), {}), config, { front: 1, back: 1 });
  }

  /**
   * Reads tokenizer.json, or vocab.json with merges.txt, from a local folder or a Hugging Face repository.
   */
  static async fromPretrained(
    pathOrRepo: string,
    { subfolder = "tokenizer", ...options }: TokenizerSource = {},
  ): Promise<CLIPTokenizer> {
    const { folder, names, json, configPath } = await tokenizerFiles(pathOrRepo, { subfolder, ...options });
    const config = parseConfig(clipConfig, json, configPath);
    return new CLIPTokenizer(await readVocabulary(folder, names), config);
  }
}
