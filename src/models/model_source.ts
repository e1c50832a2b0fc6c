import { join } from "node:path";
import { openCheckpoint } from "../io/checkpoint.ts";
import { readJson } from "../io/config.ts";
import { neededFiles, type ResolveOptions, resolveRepo } from "../io/hub.ts";
import { openRemoteWeights } from "../io/hub/remote_weights.ts";
import type { ModelSource } from "../io/model_source.ts";
import { findWeights } from "../io/weights.ts";
import { findSingleFileModel } from "../io/single_file/contents.ts";
import { isSingleFile } from "../io/single_file/options.ts";
import type { LoadOptions } from "./load.ts";

export type { ModelSource } from "../io/model_source.ts";

/** Finds a model in a folder or in a single file, or brings its files from the hub. */
export async function openModelSource(pathOrRepo: string, options: LoadOptions = {}): Promise<ModelSource> {
  const { subfolder, variant, headersOnly, onNotice = console.warn } = options;
  if (isSingleFile(pathOrRepo)) {
    const found = await findSingleFileModel(pathOrRepo, subfolder ?? "", options);
    if ("open" in found) return found;
    const { pathOrRepo: base, subfolder: folder } = found;
    return await openModelSource(base, { ...options, subfolder: folder, revision: undefined });
  }
  const wanted: ResolveOptions = {
    ...options,
    onNotice,
    files: (listing) => neededFiles(listing, { kind: "model", subfolder, variant }),
  };
  if (headersOnly && !(await isHere(pathOrRepo, wanted))) return await openHeaders(pathOrRepo, wanted);
  const { folder, files, commit } = await resolveRepo(pathOrRepo, wanted);
  const configPath = configOf(folder, files);
  const json = await readJson(configPath) as Record<string, unknown>;
  const { path, notice } = await findWeights(join(configPath, ".."), { variant });
  if (notice) onNotice(notice);
  return { json, configPath, where: path, commit, open: () => openCheckpoint(path) };
}

/** Whether all that is wanted lies on this machine. */
async function isHere(pathOrRepo: string, wanted: ResolveOptions): Promise<boolean> {
  return await resolveRepo(pathOrRepo, { ...wanted, localFilesOnly: true }).then(() => true, () => false);
}

/** A model of which this machine gets the config and the headers only. */
async function openHeaders(repo: string, wanted: ResolveOptions): Promise<ModelSource> {
  const { folder, files, where, commit, open } = await openRemoteWeights(repo, wanted);
  const configPath = configOf(folder, files);
  const json = await readJson(configPath) as Record<string, unknown>;
  return { json, configPath, where, commit, open };
}

function configOf(folder: string, files: readonly string[]): string {
  return join(folder, files.find((file) => file.endsWith("config.json")) ?? "config.json");
}
