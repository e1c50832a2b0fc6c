import type { DType } from "../../core/dtype.ts";
import { currentDevice } from "../../gpu/device.ts";
import type { Checkpoint, TensorInfo } from "../../io/formats/checkpoint.ts";
import { expectLoadOptions } from "../../io/load_options.ts";
import { modelKind } from "../../io/names/model_kinds.ts";
import { isSingleFile } from "../../io/single_file/options.ts";
import type { ModelSource } from "../../io/single_file/contents.ts";
import { scope } from "../../tensor/mod.ts";
import { dtypeFor, type WeightFormat } from "./dtype.ts";
import { openModelSource, type SourceOptions } from "./model_source.ts";
import { type ConfigOwner, readOwnConfig } from "./own_config.ts";
import { fillFromFiles, type FillWeights } from "./residency.ts";
import type { StreamOptions } from "./weight_stream.ts";
import { Weights } from "./weights.ts";

/** Options of `fromPretrained`. */
export interface LoadOptions extends SourceOptions {
  /** Type of weights and activations: by default f16 on a GPU that computes in it, else f32. */
  dtype?: "f32" | "f16" | undefined;
  /** Stores matrices in so few bits, with a scale for each 32 weights; by default they keep `dtype`. */
  quantize?: "int8" | "int4" | undefined;
  /** Leaves the weights on the disk and reads them block by block at every use: the same results, slower. */
  stream?: boolean | StreamOptions | undefined;
  /** Reads and checks the config and the headers only; `model.load()` then loads the weights. */
  defer?: boolean | undefined;
}

/** Parts that a model is made of. */
export interface ModelParts<Config> {
  /** Keys as in config.json, defaults filled in. */
  readonly config: Config;
  /** Need not be in GPU memory yet: a trace takes their shapes only. */
  readonly weights: Weights;
  /** Type of weights and activations. */
  readonly dtype: DType;
  /** Commit of the repository, for models from the hub. */
  readonly revision?: string | undefined;
  /**
   * Brings weights into memory.
   * @internal
   */
  readonly fill: FillWeights;
  /**
   * Opens the files of the weights again, for those that adapters are merged into.
   * @internal
   */
  readonly open: () => Promise<Checkpoint>;
}

/** Steps of loading a model, once it is made of its parts. */
interface Loadable extends Disposable {
  /** Traces every entry point: then it is known which weights are read. */
  prepare(): void;
  load(): Promise<void>;
  readonly bytes: number;
  bytesAs(format: Partial<WeightFormat>): number;
}

/** A class of models, as `loadModel` needs it. */
export interface ModelClass<M extends Loadable = Loadable> extends ConfigOwner {
  /** Each takes parts with a config of its own schema. */
  new (parts: never): M;
  /** Beginning of the keys of some files, e.g. "text_model."; the model's own do without. */
  readonly prefix?: string | undefined;
  /** The folder in which pipelines keep it, by which it is found in a single file. */
  readonly folder?: string | undefined;
  /** The keys of the rest of a whole model. */
  readonly others?: RegExp | undefined;
}

/** Loads a model from a folder or a repository of the hub. */
export async function loadModel<M extends Loadable>(
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

/** Makes a model of a source: checks its config, traces it, then loads the weights that it reads. */
export async function buildModel<M extends Loadable>(
  type: ModelClass<M>,
  source: ModelSource,
  options: LoadOptions = {},
): Promise<M> {
  const { where, commit } = source;
  const { headersOnly = false, defer = headersOnly, quantize, onNotice = console.warn, onProgress } = options;
  const config = readOwnConfig(type, source, onNotice);
  const device = currentDevice();
  const dtype = dtypeFor(type.name, device, options.dtype);
  const stream = options.stream === true ? {} : options.stream || undefined;
  const infos = await tensorsOf(source);
  const weights = new Weights(device, where, infos, { dtype, quantize, stream }, type.prefix);
  const fill: FillWeights = (absent, signal = options.signal) => {
    const telling = { device, label: type.name, signal, onProgress, onNotice };
    if (!headersOnly) return fillFromFiles(source, weights, absent, telling);
    throw new Error(`Cannot load ${type.name}: only its headers were opened; open it without headersOnly`);
  };
  const parts: ModelParts<unknown> = {
    config,
    weights,
    dtype,
    revision: commit,
    fill,
    open: () => source.open(),
  };
  const keys = [...weights.tensors.keys()];
  const model = explained(type, where, keys, () => new type(parts as never));
  try {
    explained(type, where, keys, () => {
      using _made = scope(); // inputs, of which only the shapes are read
      model.prepare();
    });
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

/** Does some work; if a key is missing because the keys are those of another model, the error names that model. */
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

/** Tensors of the files, which are closed again, as their weights may be wanted much later. */
async function tensorsOf(source: ModelSource): Promise<TensorInfo[]> {
  using checkpoint = await source.open();
  return [...checkpoint.tensors.values()];
}
