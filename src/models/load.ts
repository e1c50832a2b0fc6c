import { join } from "node:path";
import type { z } from "zod";
import type { DType } from "../core/dtype.ts";
import { currentDevice } from "../gpu/device.ts";
import { openCheckpoint } from "../io/checkpoint.ts";
import { parseConfig, readJson, unknownKeys } from "../io/config.ts";
import { neededFiles, type Progress, resolveRepo } from "../io/hub.ts";
import { upload, type UploadProgress } from "../io/upload.ts";
import { findWeights } from "../io/weights.ts";
import type { Model, ModelParts } from "./model.ts";
import { Weights } from "./weights.ts";

/** Options of `fromPretrained`. */
export interface LoadOptions {
  /** Folder of the component in the repository; the root where it is absent, as in google/ddpm-cat-256. */
  subfolder?: string;
  /** Weights of another precision or training, e.g. "fp16". */
  variant?: string;
  /** Branch, tag or commit. */
  revision?: string;
  /** Type of weights and activations: by default f16 on a GPU that computes in it, else f32. */
  dtype?: "f32" | "f16";
  /** Uses the cache and asks nobody. */
  localFilesOnly?: boolean;
  /** Instead of HF_TOKEN. */
  token?: string;
  /** Told of downloads (with a file's name) and of the upload to the GPU. */
  onProgress?: (progress: Progress | UploadProgress) => void;
  /** Told in one line what deserves attention; console.warn by default. */
  onNotice?: (line: string) => void;
  /** Ends the loading. */
  signal?: AbortSignal;
}

/** What a class of models brings to `loadModel`. */
export interface ModelClass<M, Schema extends z.ZodType> {
  new (parts: ModelParts<z.output<Schema>>): M;
  readonly schema: Schema;
  /** Keys that the config knows, for telling unknown ones. */
  readonly keys: z.ZodObject;
  /** What the keys of some files begin with, e.g. "text_model."; the model's own do without. */
  readonly prefix?: string;
}

/** Loads a model from a folder or a repository of the hub. */
export async function loadModel<M extends Model, Schema extends z.ZodType>(
  type: ModelClass<M, Schema>,
  pathOrRepo: string,
  options: LoadOptions = {},
): Promise<M> {
  const { subfolder, variant, onNotice = console.warn, onProgress, signal } = options;
  const { folder, files, commit } = await resolveRepo(pathOrRepo, {
    ...options,
    onNotice,
    files: (listing) => neededFiles(listing, { kind: "model", subfolder, variant }),
  });
  const configPath = join(folder, files.find((file) => file.endsWith("config.json")) ?? "config.json");
  const json = await readJson(configPath);
  const config = parseConfig(type.schema, json, configPath);
  const unknown = unknownKeys(type.keys, json);
  if (unknown.length) onNotice(`${configPath}: ignoring unknown keys ${unknown.join(", ")}`);

  const device = currentDevice();
  const dtype = options.dtype ?? (device.traits.f16 && !device.traits.software ? "f16" : "f32");
  if (dtype === "f16" && !device.traits.f16) {
    throw new Error(
      `Cannot load ${type.name} as f16: ${device.adapterName} lacks shader-f16; load it as f32`,
    );
  }
  const found = await findWeights(join(configPath, ".."), { variant });
  if (found.notice) onNotice(found.notice);
  using checkpoint = await openCheckpoint(found.path);
  const weights = new Weights(device, found.path, checkpoint.tensors.values(), dtype as DType, type.prefix);
  const model = new type({ config, weights, dtype, revision: commit });
  try {
    model.prepare();
    const { surplus } = weights;
    if (surplus.length) {
      onNotice(`${found.path}: ${surplus.length} tensors are not used, e.g. "${surplus[0]}"`);
    }
    for (const table of weights.tables) await table.fill(checkpoint, signal);
    const { release, notFinite } = await upload(device, checkpoint, weights.fillings, {
      label: type.name,
      signal,
      onProgress,
    });
    model.own(() => {
      release();
      for (const table of weights.tables) table.release();
    });
    if (notFinite.length) {
      onNotice(`${found.path}: ${notFinite.length} tensors hold NaN or infinity, e.g. "${notFinite[0]}"`);
    }
    return model;
  } catch (error) {
    model[Symbol.dispose]();
    throw error;
  }
}
