/** Tokenizers: from words to the numbers that text encoders read. @module */
export { type ClipConfig, CLIPTokenizer } from "./clip_tokenizer.ts";
export { type T5TokenizerConfig, T5TokenizerFast } from "./t5_tokenizer.ts";
export type { Step, T5Definition } from "./t5_definition.ts";
export {
  type EncodeOptions,
  type Encoding,
  TextTokenizer,
  type TextTokenizerConfig,
} from "./text_tokenizer.ts";
export type { SingleFileOptions } from "../io/single_file/options.ts";
export type { TokenizerSource } from "./tokenizer_files.ts";
export type { ClipVocabulary } from "./clip_vocabulary.ts";
export type { AddedToken, DescribedToken, NumberedToken, TokenEntry } from "./added_tokens.ts";
