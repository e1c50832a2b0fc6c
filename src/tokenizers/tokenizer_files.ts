import { join } from "node:path";
import { z } from "zod";
import { expectOptions } from "../core/error.ts";
import { parseConfig, readJson } from "../io/config.ts";
import { LOAD_OPTIONS } from "../io/load_options.ts";
import { neededFiles } from "../io/hub/needed_files.ts";
import { type Progress, resolveRepo } from "../io/hub/resolve_repo.ts";
import { findSingleFileTokenizer } from "../io/single_file/contents.ts";
import { isSingleFile, type SingleFileOptions } from "../io/single_file/options.ts";
import { type TokenKeys, tokenMap } from "./token_listing.ts";

/** Options by which a tokenizer's files are found and fetched. */
export interface TokenizerSource extends SingleFileOptions {
  /** Folder of the files; where the repository has no such folder, its root is searched. */
  subfolder?: string | undefined;
  /** Branch, tag or commit; "main" by default. */
  revision?: string | undefined;
  /** Instead of HF_TOKEN. */
  token?: string | undefined;
  /** Use what the cache holds and ask nobody. */
  localFilesOnly?: boolean | undefined;
  /** Told how far the downloads are. */
  onProgress?: ((progress: Progress) => void) | undefined;
  /** Ends the loading. */
  signal?: AbortSignal | undefined;
}

/** A tokenizer's files on this machine, as they stand there. */
export interface TokenizerFiles {
  readonly folder: string;
  /** Names of its files that the folder has. */
  readonly names: ReadonlySet<string>;
  /** tokenizer_config.json. */
  readonly config: Record<string, unknown>;
  /** The file that errors about the config name. */
  readonly configPath: string;
  /** special_tokens_map.json. */
  readonly map: TokenKeys;
  /** added_tokens.json. */
  readonly added: Record<string, number>;
}

const idsByTexts = z.record(z.string(), z.int().nonnegative());

/**
 * Brings a tokenizer's files from a local folder or a Hugging Face repository,
 * and reads what they say of tokens.
 */
export async function tokenizerFiles(
  pathOrRepo: string,
  { subfolder, ...options }: TokenizerSource & { subfolder: string },
): Promise<TokenizerFiles> {
  expectOptions(`load ${pathOrRepo}`, options, Object.keys(LOAD_OPTIONS));
  if (isSingleFile(pathOrRepo)) { // which holds none
    const { pathOrRepo: other, padToken, ...at } = await findSingleFileTokenizer(
      pathOrRepo,
      subfolder,
      options,
    );
    const found = await tokenizerFiles(other, { ...options, ...at, revision: undefined });
    if (!padToken) return found;
    const pad = { pad_token: padToken };
    return { ...found, config: { ...found.config, ...pad }, map: { ...found.map, ...pad } };
  }
  const { folder: root, files } = await resolveRepo(pathOrRepo, {
    ...options,
    files: (listing) => neededFiles(listing, { kind: "tokenizer", subfolder }),
  });
  const folder = join(root, files[0]!, "..");
  const names = new Set(files.map((file) => file.split("/").at(-1)!));
  const read = async <S extends z.ZodType>(name: string, schema: S): Promise<z.output<S>> => {
    const path = join(folder, name);
    return parseConfig(schema, names.has(name) ? await readJson(path) : {}, path);
  };
  return {
    folder,
    names,
    config: await read("tokenizer_config.json", z.looseObject({})),
    configPath: join(folder, "tokenizer_config.json"),
    map: await read("special_tokens_map.json", tokenMap),
    added: await read("added_tokens.json", idsByTexts),
  };
}
