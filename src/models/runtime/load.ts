import type { z } from "zod";
import { currentDevice } from "../../gpu/device.ts";
import type { TensorInfo } from "../../io/formats/checkpoint.ts";
import { parseConfig, unknownKeys } from "../../io/config.ts";
import type { Progress } from "../../io/hub/resolve_repo.ts";
import { expectLoadOptions } from "../../io/load_options.ts";
import { isSingleFile, type SingleFileOptions } from "../../io/single_file/options.ts";
import { modelKind } from "../../io/names/model_kinds.ts";
import type { UploadProgress } from "../../io/upload/upload.ts";
import type { Library } from "../../io/hub/needed_files.ts";
import { bringWeights } from "./bring_weights.ts";
import type { Model, ModelParts } from "./model.ts";
import { type ModelSource, openModelSource } from "./model_source.ts";
import { ownConfig, TRANSFORMERS_KEYS } from "./own_config.ts";
import type { StreamOptions } from "./weight_stream.ts";
import { Weights } from "./weights.ts";

/** Options of `fromPretrained`. */
export interface LoadOptions extends SingleFileOptions {
  /** Folder of the component in the repository; the root where it is absent, as in google/ddpm-cat-256. */
  subfolder?: string | undefined;
  /** Weights of another precision or training, e.g. "fp16". */
  variant?: string | undefined;
  /** Branch, tag or commit. */
  revision?: string | undefined;
  /** Type of weights and activations: by default f16 on a GPU that computes in it, else f32. */
  dtype?: "f32" | "f16" | undefined;
  /** Stores matrices in so few bits, with a scale for each 32 weights; by default they keep `dtype`. */
  quantize?: "int8" | "int4" | undefined;
  /** Leaves the weights on the disk and brings them block by block whenever they are read: the same results, slower. */
  stream?: boolean | StreamOptions | undefined;
  /** Reads and checks the config and the headers only; `model.load()` then brings the weights. */
  defer?: boolean | undefined;
  /**
   * Takes of a repository that is not in the cache no more than configs and headers of weights, a few hundred kB: to
   * plan for a model, which cannot be loaded.
   */
  headersOnly?: boolean | undefined;
  /** Uses the cache and asks nobody. */
  localFilesOnly?: boolean | undefined;
  /** Instead of HF_TOKEN. */
  token?: string | undefined;
  /** Told of downloads (with a file's name) and of the upload to the GPU. */
  onProgress?: ((progress: Progress | UploadProgress) => void) | undefined;
  /** Told in one line what deserves attention; console.warn by default. */
  onNotice?: ((line: string) => void) | undefined;
  /** Ends the loading. */
  signal?: AbortSignal | undefined;
}

/** What a class of models brings to `loadModel`. */
export interface ModelClass<M extends Model = Model> {
  /** Each takes parts with a config of its own schema. */
  new (parts: never): M;
  /** Checks a config.json and fills in its defaults. */
  readonly schema: z.ZodType;
  /** Keys that the config knows, for telling unknown ones. */
  readonly keys: z.ZodObject;
  /** What the keys of some files begin with, e.g. "text_model."; the model's own do without. */
  readonly prefix?: string | undefined;
  /** The folder in which pipelines keep it, by which it is found in a single file. */
  readonly folder?: string | undefined;
  /** Whose names its files of weights have; diffusers' by default. */
  readonly library?: Library | undefined;
  /** Of transformers' models: the model_type of its configs, and of those of whole models that it is a part of. */
  readonly modelTypes?: readonly string[] | undefined;
  /** Where the config of a whole model has its own. */
  readonly configKey?: string | undefined;
  /** The keys of the rest of a whole model. */
  readonly others?: RegExp | undefined;
}

/** Loads a model from a folder or a repository of the hub. */
export async function loadModel<M extends Model>(
  type: ModelClass<M>,
  pathOrRepo: string,
  options: LoadOptions = {},
): Promise<M> {
  expectLoadOptions(pathOrRepo, options);
  const source = {
    ...options,
    subfolder: options.subfolder ?? (isSingleFile(pathOrRepo) ? type.folder : undefined),
  };
  return await buildModel(type, await openModelSource(pathOrRepo, source, type.library), options);
}

/** Makes a model of a source: checks its config, traces it, then brings the weights that it reads into memory. */
export async function buildModel<M extends Model>(
  type: ModelClass<M>,
  source: ModelSource,
  options: LoadOptions = {},
): Promise<M> {
  const { configPath, where, commit } = source;
  const json = ownConfig(type, source.json, configPath);
  const { headersOnly = false, defer = headersOnly, quantize, onNotice = console.warn, onProgress } = options;
  const config = parseConfig(type.schema, json, configPath);
  const common = type.library === "transformers" ? TRANSFORMERS_KEYS : undefined;
  const unknown = unknownKeys(type.keys, json).filter((key) => !common?.has(key));
  if (unknown.length) onNotice(`${configPath}: ignoring unknown keys ${unknown.join(", ")}`);

  const device = currentDevice();
  const dtype = options.dtype ?? (device.traits.f16 && !device.traits.software ? "f16" : "f32");
  if (dtype === "f16" && !device.traits.f16) {
    throw new Error(
      `Cannot load ${type.name} as f16: ${device.adapterName} lacks shader-f16; load it as f32`,
    );
  }
  const stream = options.stream === true ? {} : options.stream || undefined;
  const weights = new Weights(
    device,
    where,
    await tensorsOf(source),
    { dtype, quantize, stream },
    type.prefix,
  );
  const bring = async (only?: string, signal = options.signal) => {
    if (!headersOnly) {
      const telling = { label: type.name, only, signal, onProgress, onNotice };
      return await bringWeights(source, weights, { device, ...telling });
    }
    throw new Error(`Cannot load ${type.name}: only its headers were opened; open it without headersOnly`);
  };
  const infos = [...weights.tensors.keys()];
  const model = explained(
    type,
    where,
    infos,
    () =>
      new type({ config, weights, dtype, revision: commit, bring } satisfies ModelParts<unknown> as never),
  );
  try {
    explained(type, where, infos, () => model.prepare());
    const surplus = weights.surplus.filter((key) => !type.others?.test(key));
    if (quantize && model.bytes === model.bytesAs({ quantize: undefined })) {
      onNotice(
        `${where}: nothing is stored as ${quantize}, as no matrix of its blocks is large and wide enough`,
      );
    }
    if (surplus.length) onNotice(`${where}: ${surplus.length} tensors are not used, e.g. "${surplus[0]}"`);
    if (!defer) await model.load();
    return model;
  } catch (error) {
    model[Symbol.dispose]();
    throw error;
  }
}

/** Does some work; where a key is missing that it reads, because the keys are another model's, says whose they are. */
function explained<T>(type: { name: string }, where: string, keys: readonly string[], work: () => T): T {
  try {
    return work();
  } catch (cause) {
    const kind = cause instanceof ReferenceError ? modelKind(keys) : undefined;
    if (!kind || namesOf(type).some((name) => kind.name === name || kind.holds?.includes(name))) throw cause;
    const advice = kind.use ? `; ${kind.use}` : "";
    const message = `expected its keys, got those of ${kind.name}${advice}`;
    throw new TypeError(`Cannot load ${type.name} from ${where}: ${message}`, { cause });
  }
}

/** The names of a class and of those that it extends. */
function namesOf(type: { name: string }): string[] {
  return type.name ? [type.name, ...namesOf(Object.getPrototypeOf(type))] : [];
}

/** What the files hold; they are closed again, as their weights may be wanted much later. */
async function tensorsOf(source: ModelSource): Promise<TensorInfo[]> {
  using checkpoint = await source.open();
  return [...checkpoint.tensors.values()];
}
