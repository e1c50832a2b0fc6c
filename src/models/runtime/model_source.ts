import { join } from "node:path";
import { sameNumbers } from "../../core/shape.ts";
import { type Checkpoint, openCheckpoint, type TensorInfo } from "../../io/formats/checkpoint.ts";
import { readJson } from "../../io/config.ts";
import { isHere, type Progress, type ResolveOptions, resolveRepo } from "../../io/hub/resolve_repo.ts";
import { openRemoteWeights } from "../../io/hub/remote_weights.ts";
import { findSingleFileModel, type ModelSource } from "../../io/single_file/contents.ts";
import { isIndex } from "../../io/formats/shard_index.ts";
import { type Library, neededFiles, noticeOf } from "../../io/hub/needed_files.ts";
import { isSingleFile, type SingleFileOptions } from "../../io/single_file/options.ts";
import type { UploadProgress } from "../../io/upload/upload.ts";

/** Options of `fromPretrained`: the place of a model's files, and callbacks. */
export interface SourceOptions extends SingleFileOptions {
  /** Folder of the component in the repository; the root where it is absent, as in google/ddpm-cat-256. */
  subfolder?: string | undefined;
  /** Weights of another precision or training, e.g. "fp16". */
  variant?: string | undefined;
  /** Branch, tag or commit. */
  revision?: string | undefined;
  /**
   * Takes of a repository that is not in the cache no more than configs and headers of weights, a few hundred kB: to
   * plan for a model, which cannot be loaded.
   */
  headersOnly?: boolean | undefined;
  /** Uses the cache alone, without a connection. */
  localFilesOnly?: boolean | undefined;
  /** Instead of HF_TOKEN. */
  token?: string | undefined;
  /** Called during downloads (with a file's name) and the upload to the GPU. */
  onProgress?: ((progress: Progress | UploadProgress) => void) | undefined;
  /** Called with a line that deserves attention; console.warn by default. */
  onNotice?: ((line: string) => void) | undefined;
  /** Ends the loading. */
  signal?: AbortSignal | undefined;
}

/**
 * Finds a model in a folder or in a single file, or downloads its files from the hub; `library` is the one whose
 * names its files of weights have.
 */
export async function openModelSource(
  pathOrRepo: string,
  options: SourceOptions = {},
  library?: Library,
): Promise<ModelSource> {
  const { subfolder, variant, headersOnly, onNotice = console.warn } = options;
  if (isSingleFile(pathOrRepo)) {
    const found = await findSingleFileModel(pathOrRepo, subfolder ?? "", options);
    if ("open" in found) return found;
    const { pathOrRepo: base, subfolder: folder } = found;
    return await openModelSource(base, { ...options, subfolder: folder, revision: undefined }, library);
  }
  const wanted: ResolveOptions = {
    ...options,
    onNotice,
    files: (listing) => {
      const files = neededFiles(listing, { kind: "model", subfolder, variant, library });
      if (!listing.includes(files[0]!)) expectNoOtherFolder(listing, pathOrRepo, subfolder);
      return files;
    },
  };
  const isRemote = headersOnly && !(await isHere(pathOrRepo, wanted));
  const found = isRemote ? await openRemoteWeights(pathOrRepo, wanted) : await openHere(pathOrRepo, wanted);
  const { folder, files, weights, where, commit, open } = found;
  const notice = noticeOf(weights, variant);
  if (notice) onNotice(`${pathOrRepo}: ${notice}`);
  const configPath = join(folder, files.find((file) => file.endsWith("config.json")) ?? "config.json");
  return { json: await readJson(configPath) as Record<string, unknown>, configPath, where, commit, open };
}

/** Throws where models are in other folders than the given one. */
function expectNoOtherFolder(listing: readonly string[], pathOrRepo: string, subfolder?: string): void {
  const folders = listing.flatMap((name) => /^([^/]+)\/config\.json$/.exec(name)?.[1] ?? []);
  if (folders.length === 0) return;
  const wanted = subfolder ? `${subfolder}/config.json` : "config.json";
  throw new Error(
    `Cannot load a model from ${pathOrRepo}: expected ${wanted}, got models in ${folders.join(", ")}; ` +
      "name one of these folders as subfolder",
  );
}

/** Throws where a file has another tensor than it had when it was opened first. */
export function expectUnchanged(
  { tensors }: Checkpoint,
  { name, dtype, shape }: TensorInfo,
  where: string,
): void {
  const found = tensors.get(name);
  if (found?.dtype === dtype && sameNumbers(found.shape, shape)) return;
  const got = found ? `${found.dtype} [${found.shape.join(", ")}]` : "none";
  throw new Error(
    `Cannot load "${name}" from ${where}: expected ${dtype} [${shape.join(", ")}] as when it was opened, ` +
      `got ${got}; the file was changed: open it again`,
  );
}

/** A model whose files are on this machine, or are downloaded. */
async function openHere(pathOrRepo: string, wanted: ResolveOptions) {
  const { folder, files, commit } = await resolveRepo(pathOrRepo, wanted);
  const weights = files.find((file) => isIndex(file) || !file.endsWith(".json"))!;
  const where = join(folder, weights);
  return { folder, files, weights, where, commit, open: () => openCheckpoint(where) };
}
