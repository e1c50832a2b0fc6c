import { join } from "node:path";
import { openCheckpoint } from "../../io/formats/checkpoint.ts";
import { readJson } from "../../io/config.ts";
import { isHere, type ResolveOptions, resolveRepo } from "../../io/hub/resolve_repo.ts";
import { openRemoteWeights } from "../../io/hub/remote_weights.ts";
import type { ModelSource } from "../../io/model_source.ts";
import { isIndex } from "../../io/formats/shard_index.ts";
import { type Library, neededFiles, noticeOf } from "../../io/hub/needed_files.ts";
import { findSingleFileModel } from "../../io/single_file/contents.ts";
import { isSingleFile } from "../../io/single_file/options.ts";
import type { LoadOptions } from "./load.ts";

export type { ModelSource } from "../../io/model_source.ts";

/**
 * Finds a model in a folder or in a single file, or brings its files from the hub; `library` is the one whose names
 * its files of weights have.
 */
export async function openModelSource(
  pathOrRepo: string,
  options: LoadOptions = {},
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

/** Throws where models lie in other folders than the one that was asked for. */
function expectNoOtherFolder(listing: readonly string[], pathOrRepo: string, subfolder?: string): void {
  const folders = listing.flatMap((name) => /^([^/]+)\/config\.json$/.exec(name)?.[1] ?? []);
  if (folders.length === 0) return;
  const wanted = subfolder ? `${subfolder}/config.json` : "config.json";
  throw new Error(
    `Cannot load a model from ${pathOrRepo}: expected ${wanted}, got models in ${folders.join(", ")}; ` +
      "name one of these folders as subfolder",
  );
}

/** A model whose files lie on this machine, or are brought. */
async function openHere(pathOrRepo: string, wanted: ResolveOptions) {
  const { folder, files, commit } = await resolveRepo(pathOrRepo, wanted);
  const weights = files.find((file) => isIndex(file) || !file.endsWith(".json"))!;
  const where = join(folder, weights);
  return { folder, files, weights, where, commit, open: () => openCheckpoint(where) };
}
