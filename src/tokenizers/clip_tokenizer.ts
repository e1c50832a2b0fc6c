import { Tokenizer } from "@huggingface/tokenizers";
import { join } from "node:path";
import { z } from "zod";
import { parseConfig, readJson } from "../io/config.ts";
import { neededFiles, type Progress, resolveRepo } from "../io/hub.ts";
import { type ClipConfig, clipConfig } from "./clip_config.ts";
import { clipDefinition } from "./clip_definition.ts";
import { type ClipVocabulary, readVocabulary } from "./clip_vocabulary.ts";

/** Where a tokenizer's files lie, and how to fetch them. */
export interface TokenizerSource {
  /** Folder of the files; where the repository has no such folder, its root is searched. */
  subfolder?: string;
  /** Branch, tag or commit; "main" by default. */
  revision?: string;
  /** Instead of HF_TOKEN. */
  token?: string;
  /** Use what the cache holds and ask nobody. */
  localFilesOnly?: boolean;
  /** Told how far the downloads are. */
  onProgress?: (progress: Progress) => void;
  /** Ends the loading. */
  signal?: AbortSignal;
}

/** Options of `CLIPTokenizer.encode`. */
export interface EncodeOptions {
  /** Tokens in a row, those in front and behind included; by default as many as the model reads. */
  maxLength?: number;
  /** How far rows are filled up: to maxLength (as by default), to the longest row, or not at all. */
  padding?: "max_length" | "longest" | false;
  /** Cuts rows that are longer than maxLength, as by default. */
  truncation?: boolean;
}

/** Texts as numbers. */
export interface Encoding {
  /** Ids of the tokens. [B, N] */
  inputIds: number[][];
  /** 1 for tokens, 0 for what rows are filled up with. [B, N] */
  attentionMask: number[][];
  /** What was cut off of each text, "" where nothing was. [B] */
  truncated: string[];
}

/** Turns texts into the tokens of CLIP (Radford et al. 2021), as transformers' CLIPTokenizer does. */
export class CLIPTokenizer {
  /** The keys of tokenizer_config.json, defaults filled in. */
  readonly config: ClipConfig;
  readonly #tokenizer: Tokenizer;

  /** For fromPretrained(), which has read the parts. */
  constructor(vocabulary: ClipVocabulary, config: ClipConfig) {
    this.config = config;
    this.#tokenizer = new Tokenizer(clipDefinition(vocabulary, config), {});
  }

  /** Reads tokenizer.json, or vocab.json with merges.txt, from a local folder or a Hugging Face repository. */
  static async fromPretrained(
    pathOrRepo: string,
    { subfolder = "tokenizer", ...options }: TokenizerSource = {},
  ): Promise<CLIPTokenizer> {
    const { folder: root, files } = await resolveRepo(pathOrRepo, {
      ...options,
      files: (listing) => neededFiles(listing, { kind: "tokenizer", subfolder }),
    });
    const folder = join(root, files[0], "..");
    const names = new Set(files.map((file) => file.split("/").at(-1)!));
    const read = async (name: string): Promise<Record<string, unknown>> => {
      const path = join(folder, name);
      return names.has(name) ? parseConfig(z.looseObject({}), await readJson(path), path) : {};
    };
    const json = await read("tokenizer_config.json");
    // The older file counts where the newer one does not describe its tokens, as in transformers.
    if (!json.added_tokens_decoder) Object.assign(json, await read("special_tokens_map.json"));
    const config = parseConfig(clipConfig, json, join(folder, "tokenizer_config.json"));
    return new CLIPTokenizer(await readVocabulary(folder, names), config);
  }

  /** Tokens that the model reads at most: 77 of Stable Diffusion. */
  get modelMaxLength(): number {
    return this.config.model_max_length;
  }

  /** The id that rows are filled up with. */
  get padTokenId(): number {
    return this.#tokenizer.token_to_id(this.config.pad_token.content)!;
  }

  /** Texts as rows of ids, cut and filled up to one length unless `options` say otherwise. */
  encode(
    texts: string | readonly string[],
    { maxLength = this.modelMaxLength, padding = "max_length", truncation = true }: EncodeOptions = {},
  ): Encoding {
    if (!Number.isSafeInteger(maxLength) || maxLength < 2) { // a row begins and ends with a special token
      throw new RangeError(`Cannot tokenize to maxLength ${maxLength}: expected a whole number from 2`);
    }
    const rows = [texts].flat().map((text) => this.#tokens(text));
    const cut = rows.map((row) => truncation ? this.#cut(row, maxLength) : { ids: row, rest: [] });
    const longest = Math.max(0, ...cut.map(({ ids }) => ids.length));
    const length = padding === false ? 0 : padding === "longest" ? longest : maxLength;
    return {
      inputIds: cut.map(({ ids }) => this.#fill(ids, length, this.padTokenId)),
      attentionMask: cut.map(({ ids }) => this.#fill(ids.map(() => 1), length, 0)),
      truncated: cut.map(({ rest }) => this.decode(rest)),
    };
  }

  /** The text that ids stand for: lower case, with spaces between its words. */
  decode(
    ids: readonly number[],
    { skipSpecialTokens = false }: { skipSpecialTokens?: boolean } = {},
  ): string {
    if (ids.length === 0) return ""; // which the library refuses
    const options = { skip_special_tokens: skipSpecialTokens, clean_up_tokenization_spaces: false };
    return this.#tokenizer.decode([...ids], options).trim();
  }

  #tokens(text: string): number[] {
    if (typeof text === "string") return this.#tokenizer.encode(text).ids;
    throw new TypeError(`Cannot tokenize ${text}: expected a text or a list of texts, got ${typeof text}`);
  }

  /** A row of at most `length` ids, which keeps the first and the last, and the ids that it lost. */
  #cut(row: number[], length: number): { ids: number[]; rest: number[] } {
    const excess = row.length - length;
    if (excess <= 0) return { ids: row, rest: [] };
    const start = this.config.truncation_side === "right" ? length - 1 : 1;
    return { ids: row.toSpliced(start, excess), rest: row.slice(start, start + excess) };
  }

  #fill(row: number[], length: number, value: number): number[] {
    const filling = new Array<number>(Math.max(0, length - row.length)).fill(value);
    return this.config.padding_side === "right" ? [...row, ...filling] : [...filling, ...row];
  }
}
