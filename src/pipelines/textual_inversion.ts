import { expectOptions } from "../core/error.ts";
import { findLora } from "../io/lora/find.ts";
import {
  type LearnedEmbeddings,
  readTextualInversion,
  TEXTUAL_INVERSION,
  type TextualInversionFile,
} from "../io/lora/textual_inversion.ts";
import type { CLIPTextModel, LoraOptions } from "../models/mod.ts";
import type { CLIPTokenizer } from "../tokenizers/mod.ts";

/** Options of `loadTextualInversion`. */
export interface TextualInversionOptions extends Omit<LoraOptions, "adapterName" | "scale" | "token"> {
  /** The word that stands for it in prompts; by default the one that the file names, else the file's own name. */
  token?: string | undefined;
  /** A token of the hub in place of HF_TOKEN, as in diffusers. */
  hfToken?: string | undefined;
}

/** A text encoder and its tokenizer; of SDXL there are two. */
export interface TextPart {
  readonly tokenizer: CLIPTokenizer;
  readonly textEncoder: CLIPTextModel;
}

const OPTIONS = "token hfToken weightName subfolder revision localFilesOnly signal onProgress onNotice";

/**
 * Reads a textual inversion, and adds its token to the tokenizers and its vectors to the text encoders that they are
 * for. Returns the token.
 */
export async function loadTextualInversion(
  pathOrRepo: string,
  options: TextualInversionOptions,
  parts: readonly TextPart[],
): Promise<string> {
  expectOptions("load a textual inversion", options, OPTIONS.split(" "));
  const { token: given, hfToken, ...source } = options;
  const path = await findLora(pathOrRepo, { ...source, token: hfToken }, TEXTUAL_INVERSION);
  const file = await readTextualInversion(path);
  const token = given ?? file.token;
  const pairs = file.embeddings.map((embeddings) => ({
    ...partOf(embeddings, parts, file, path),
    vectors: embeddings.vectors,
  }));
  const done: TextPart[] = [];
  try {
    for (const { tokenizer, textEncoder, vectors } of pairs) {
      const ids = tokenizer.addToken(token, vectors.length);
      done.push({ tokenizer, textEncoder });
      for (const [i, id] of ids.entries()) textEncoder.addToken(id, vectors[i]!);
    }
  } catch (error) {
    unloadTextualInversion(token, done);
    throw error;
  }
  return token;
}

/** Takes a token and its vectors out again. */
export function unloadTextualInversion(token: string, parts: readonly TextPart[]): void {
  for (const { tokenizer, textEncoder } of parts) {
    for (const id of tokenizer.removeToken(token)) textEncoder.removeToken(id);
  }
}

/** The encoder that vectors are for: the one that the file names, else the only one of their width. */
function partOf(
  { encoder, vectors }: LearnedEmbeddings,
  parts: readonly TextPart[],
  { embeddings }: TextualInversionFile,
  path: string,
): TextPart {
  const width = vectors[0]!.length;
  const widths = parts.map(({ textEncoder }) => textEncoder.config.hidden_size);
  const place = encoder === "clip_l" ? 0 : encoder === "clip_g" ? parts.length - 1 : widths.indexOf(width);
  const part = embeddings.length <= parts.length ? parts[place] : undefined;
  if (part && part.textEncoder.config.hidden_size === width) return part;
  throw new RangeError(
    `Cannot load ${path}: expected vectors of ${widths.join(" or ")} numbers, as the text encoder has, got ` +
      `${embeddings.map(({ vectors }) => vectors[0]!.length).join(" and ")}; it was made for another model`,
  );
}
