import { expectOptions, nameOfKind } from "../../core/error.ts";
import type { Inspect } from "../../core/shown.ts";
import type { DType, PackedDType } from "../../core/dtype.ts";
import { currentDevice, type Device } from "../../gpu/device.ts";
import { streamOf } from "../../graph/run/stream.ts";
import { expectSingleFile } from "../../io/single_file/options.ts";
import type { Tensor } from "../../tensor/mod.ts";
import { Adapters } from "./lora/adapters.ts";
import { Scales } from "./lora/scales.ts";
import { type Edit, type EditFunction, type EditOptions, Edits, expectOutsideEdits } from "./edits.ts";
import { loadModel, type LoadOptions, type ModelClass, type ModelParts } from "./load.ts";
import { BlockParts } from "./block_parts.ts";
import { type LoadPartOptions, Residency } from "./residency.ts";
import { type Tensors, Traces } from "./traces.ts";
import { withoutBlocks } from "./weakened.ts";
import type { WeightFormat } from "./dtype.ts";
import type { Weights } from "./weights.ts";

/** Options of every model's `forward`. */
export interface TapOptions<Path extends string = string> {
  /**
   * Parts whose results are wanted too, by their module paths, e.g. "mid_block", "up_blocks.1.attentions.0" or
   * "down_blocks.0.attentions.0.transformer_blocks.0.attn2.attention_probs"; the model's `paths` lists all.
   */
  taps?: readonly Path[] | undefined;
}

/** Options of every transformer's `forward`. */
export interface SkipOptions {
  /** Paths of blocks that give what they take, e.g. ["transformer_blocks.7"]: for skip layer guidance. */
  skipLayers?: readonly string[] | undefined;
}

/** The tapped parts' results, in f32. */
export type Taps<Path extends string> = Readonly<Record<Path, Tensor>>;

/** A network with its config and weights. Its `forward` is traced once per shape and replayed. */
export abstract class Model<Config = unknown> implements Disposable {
  /** Dense layers of whose input a LoRA may read other channels than the layer itself does: see `widthOf` of `adapters`. */
  static readonly widens: readonly string[] = [];

  /** Keys as in config.json, defaults filled in. */
  readonly config: Config;
  /** Type of weights and activations; results are f32 all the same. */
  readonly dtype: DType;
  /** Commit of the repository that it was loaded from; a local folder has none. */
  readonly revision: string | undefined;
  /** The one that was current when the model was made. */
  readonly device: Device;
  /** The LoRAs of this model, see `loadLora`. They stay when the weights are unloaded. */
  readonly adapters: Adapters;
  /** True if pipelines may store its weights otherwise where memory is short: nobody asked how they are to be stored. */
  isFlexible = false;
  /** True if pipelines load its weights in parts, each entry point's in turn, as the GPU had no room for all. */
  comesInParts = false;
  /** Notices about it, each once. */
  readonly notices: Set<string> = new Set();
  /** Read while `forward` is traced, not when a trace is replayed. */
  protected readonly weights: Weights;
  readonly #edits: Edits;
  readonly #traces: Traces;
  readonly #residency: Residency;

  /** For buildModel(), which then traces the model and fills the weights that it read. */
  constructor({ config, weights, dtype, revision, fill, open }: ModelParts<Config>) {
    this.config = config;
    this.weights = weights;
    this.dtype = dtype;
    this.revision = revision;
    this.device = currentDevice();
    const forget = () => this.retrace();
    const scales = new Scales(this.device);
    const { widens } = this.constructor as typeof Model;
    this.adapters = new Adapters(weights, dtype, { scales, forget, open, widens });
    this.#edits = new Edits(this.constructor.name, forget);
    this.#traces = new Traces(this.device, this.constructor.name, scales, this.#edits);
    this.#residency = new Residency({
      device: this.device,
      label: this.constructor.name,
      weights,
      fill,
      adapters: this.adapters,
      forget,
    });
  }

  /** Loads a model of this class from a folder or a repository of the hub. */
  static async fromPretrained<Class extends new (parts: never) => Model>(
    this: Class,
    pathOrRepo: string,
    options: LoadOptions = {},
  ): Promise<InstanceType<Class>> {
    return await loadModel(this as Class & ModelClass, pathOrRepo, options) as InstanceType<Class>;
  }

  /**
   * Loads a model from one file without a config, alone in it or among others, in its own layout or in diffusers': of
   * CompVis, of Black Forest Labs or of ComfyUI; safetensors, GGUF or .ckpt.
   */
  static async fromSingleFile<Class extends new (parts: never) => Model>(
    this: Class,
    path: string,
    options: LoadOptions = {},
  ): Promise<InstanceType<Class>> {
    return await loadModel(
      this as Class & ModelClass,
      expectSingleFile(path),
      options,
    ) as InstanceType<Class>;
  }

  /** The text that Deno's console and REPL show: the model's class and config, without its weights. */
  [Symbol.for("Deno.customInspect")](inspect: Inspect, options: object): string {
    const { config, dtype, quantize, device } = this;
    return `${this.constructor.name} ${inspect({ config, dtype, quantize, device }, options)}`;
  }

  /** Paths of all parts that can be tapped and edited, in the order in which they were traced. */
  get paths(): readonly string[] {
    return this.#edits.paths;
  }

  /**
   * Replaces the result of one part by what `fn` makes of it, from the next call on, until the edit is removed. Edits of
   * one part follow each other in the order in which they were made. The model is traced anew, with `fn` in the trace: it
   * may compute with tensors, but not read them, and what is to change from call to call goes through `values`.
   *
   * ```ts ignore
   * using edit = unet.edit("mid_block", (output, _inputs, { scale }) => output.mul(scale), { values: { scale: 1.2 } });
   * edit.set({ scale: 1.1 });
   * ```
   */
  edit(path: string, fn: EditFunction, options: EditOptions = {}): Edit {
    expectOptions("edit", options, ["values"]);
    return this.#edits.add(path, fn, options);
  }

  /** True while the weights are in memory, or a part of them. */
  get loaded(): boolean {
    return this.#residency.loaded;
  }

  /** In how few bits its matrices are stored, by its options or as memory is short. */
  get quantize(): PackedDType | undefined {
    return this.weights.quantize;
  }

  /** True while somebody needs weights that were acquired. */
  get needed(): boolean {
    return this.#residency.needed;
  }

  /** True if some weights stay on the disk and are read from there whenever they are needed. */
  get isStreamed(): boolean {
    return this.weights.divided().streamed.length > 0;
  }

  /** Bytes that the weights take in GPU memory when they are loaded. */
  get bytes(): number {
    return this.weights.bytes();
  }

  /** Bytes that the weights would take in another format, all or those that `only` one entry point reads. */
  bytesAs(format: Partial<WeightFormat>, only?: string): number {
    return this.weights.bytes(format, only);
  }

  /** Bytes that the weights take while they are streamed from the disk: small ones stay, the others are read in turn. */
  get streamedBytes(): number {
    return this.weights.divided({ stream: {} }).bytes;
  }

  /** Bytes of GPU memory, without the weights, of the largest call so far, run, measured or prepared for. */
  get workspace(): number {
    return this.#traces.workspace;
  }

  /** Bytes, without the weights, for the calls in `work`, each with its own. Nothing runs, and no weights are needed. */
  measure(work: () => unknown): number {
    return this.#traces.measure(work);
  }

  /** Within `measure`: adds bytes that its calls leave for later ones. */
  countBeside(bytes: number): void {
    this.#traces.countBeside(bytes);
  }

  /** Throws where the adapter cannot run the calls in `work`, whatever memory there is. No weights are needed. */
  expectRunnable(work: () => unknown): void {
    this.#traces.dryRun("expect", work);
  }

  /** Takes the memory that the calls in `work` need, without the weights. Nothing runs; later calls use it. */
  reserve(work: () => unknown): void {
    this.#traces.dryRun("reserve", work);
  }

  /**
   * Error of each matrix in fewer bits, by its name in the file: the root mean square of its differences from the
   * file's values over that of the values. Empty until the model was loaded.
   */
  get packingErrors(): ReadonlyMap<string, number> {
    return this.weights.errors ?? new Map();
  }

  /**
   * Brings the weights into memory, unless they are there; of `only` one entry point those that it reads, in
   * place of what nobody needs. Several callers at once share the work.
   */
  async load(options?: LoadPartOptions): Promise<void> {
    await this.#residency.load(options);
  }

  /** The same, and the weights stay until what is returned is disposed, or until `unload()`. */
  async acquire(options?: LoadPartOptions): Promise<Disposable> {
    return await this.#residency.acquire(options);
  }

  /** Frees the memory of weights and activations, after the work already recorded. `load()` loads them again. */
  unload(): void {
    this.#residency.unload();
  }

  /** Stores the weights in another way from the next load on; until then they are unloaded. */
  store(format: Pick<WeightFormat, "quantize" | "stream">): void {
    this.unload();
    this.weights.reformat(format);
    this.prepare();
  }

  /** Forgets all traces, or those of one key, so that the next call is recorded again. */
  retrace(key?: string): void {
    this.#traces.forget(key);
  }

  /** Traces every entry point at its usual size, so that loading knows which weights are read and compiles early. */
  abstract prepare(): void;

  /**
   * Runs a pure function of tensors on this model's device, replaying its trace when the same signature comes
   * again. Results are f32. `key` names everything else that the trace depends on.
   */
  protected traced<Out extends Tensors>(key: string, inputs: Tensors, fn: (inputs: Tensors) => Out): Out {
    return this.tapped(key, inputs, fn, []).results;
  }

  /** Like `traced`, with the results of parts. */
  protected tapped<Out extends Tensors, Path extends string>(
    key: string,
    inputs: Tensors,
    fn: (inputs: Tensors) => Out,
    taps: readonly Path[] = [],
  ): { results: Out; taps: Taps<Path> } {
    if (!Array.isArray(taps)) {
      throw new TypeError(
        `Cannot tap ${this.constructor.name}: expected a list of paths, got ${nameOfKind(taps)}`,
      );
    }
    const [entry] = key.split("; "); // in front of the names of parts
    if (this.#traces.isRunning) {
      expectOutsideEdits(this.constructor.name);
      this.expectLoaded(entry);
    }
    const wanted = [...new Set(taps)];
    const all = this.#traces.take({ key, inputs, fn, taps: wanted }, this.#residency.has(entry));
    const count = all.length - wanted.length;
    return {
      results: Object.fromEntries(all.slice(0, count)) as Out,
      taps: Object.fromEntries(all.slice(count)) as Taps<Path>,
    };
  }

  /** Key and function of a call of a transformer without some of its blocks. */
  protected skipping<Out>(
    key: string,
    run: (inputs: Tensors) => Out,
    { skipLayers = [] }: SkipOptions,
  ): [key: string, run: (inputs: Tensors) => Out] {
    const keys = [key, ...skipLayers.map((block) => `without ${block}`)];
    return [keys.join("; "), withoutBlocks(this.constructor.name, skipLayers, run)];
  }

  /** A call of a transformer in parts, for step caches. `blocks` are the paths of those that the picture goes through. */
  protected inBlocks(
    key: string,
    fn: (inputs: Tensors) => { sample: Tensor },
    inputs: Tensors,
    blocks: readonly string[],
  ): BlockParts {
    return new BlockParts(
      this.constructor.name,
      blocks,
      (name, others, part) =>
        this.traced(`${key}; ${name}`, { ...inputs, ...others }, (all) => part(all, () => fn(all).sample)),
    );
  }

  /** Traces an entry point without running it, and notes which weights it reads. */
  protected dryRun(key: string, inputs: Tensors, fn: (inputs: Tensors) => Tensors): void {
    const trace = () => this.#traces.prepare({ key, inputs, fn, taps: [] });
    streamOf(this.device).dryRun(() => this.weights.noteReads(key, trace));
  }

  /** Throws unless the weights are in memory, those of an entry point at least. */
  protected expectLoaded(entry?: string): void {
    this.#residency.expect(entry);
    this.adapters.expectMerged(this.constructor.name);
  }

  /** Gives back the memory of weights and activations for good, after the work already recorded. */
  [Symbol.dispose](): void {
    this.adapters.release();
    this.unload();
    this.#residency.dispose();
  }
}
