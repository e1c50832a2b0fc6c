/** Tokenizers: from words to the numbers that text encoders read. @module */
export { CLIPTokenizer, type EncodeOptions, type Encoding, type TokenizerSource } from "./clip_tokenizer.ts";
export type { ClipConfig } from "./clip_config.ts";
export type { ClipVocabulary } from "./clip_vocabulary.ts";
export type { AddedToken } from "./added_tokens.ts";
