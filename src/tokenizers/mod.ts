/** Tokenizers: from words to the numbers that text encoders read. @module */
export { type ClipConfig, CLIPTokenizer } from "./clip_tokenizer.ts";
export { type T5TokenizerConfig, T5TokenizerFast } from "./t5_tokenizer.ts";
export { type ChatTemplateOptions, Qwen2Tokenizer, type Qwen2TokenizerConfig } from "./qwen2_tokenizer.ts";
export type { ChatMessage } from "./chat_template.ts";
export type { TemplateText } from "./chat_template_files.ts";
export type { Step, T5Definition } from "./t5_definition.ts";
export {
  type EncodeOptions,
  type Encoding,
  TextTokenizer,
  type TextTokenizerConfig,
} from "./text_tokenizer.ts";
export type { SingleFileOptions } from "../io/single_file/options.ts";
export type { TokenizerSource } from "./tokenizer_files.ts";
export type { BpeVocabulary } from "./bpe_vocabulary.ts";
export type { AddedToken, DescribedToken, NumberedToken, TokenEntry } from "./added_tokens.ts";
