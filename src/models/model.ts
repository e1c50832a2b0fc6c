import type { DType, PackedDType } from "../core/dtype.ts";
import { formatShape, type Shape, usualStrides } from "../core/shape.ts";
import { currentDevice, type Device } from "../gpu/device.ts";
import { Call } from "../graph/call.ts";
import { Input, type Leaf, type Node } from "../graph/node.ts";
import type { Plan } from "../graph/plan.ts";
import { streamOf } from "../graph/stream.ts";
import { expectSingleFile } from "../io/single_file/options.ts";
import { currentPath, scope, Tensor } from "../tensor/mod.ts";
import { Adapters } from "./adapters.ts";
import { DenseViews } from "./dense_views.ts";
import { type Edit, type EditFunction, type EditOptions, Edits, expectOutsideEdits } from "./edits.ts";
import { loadModel, type LoadOptions, type ModelClass } from "./load.ts";
import { Presence } from "./presence.ts";
import type { WeightFormat } from "./weight_format.ts";
import type { Weights } from "./weights.ts";

/** Named tensors that go into, or come out of, a traced function. */
export type Tensors = Record<string, Tensor>;

/** What `forward` of every model may be told. */
export interface TapOptions<Path extends string = string> {
  /**
   * Parts whose results are wanted too, by their module paths, e.g. "mid_block", "up_blocks.1.attentions.0" or
   * "down_blocks.0.attentions.0.transformer_blocks.0.attn2.attention_probs"; the model's `paths` lists all.
   */
  taps?: readonly Path[] | undefined;
}

/** The parts' results that were asked for, in f32. */
export type Taps<Path extends string> = Readonly<Record<Path, Tensor>>;

/** Where the traced function's results lie in the plan's outputs, those of taps last. */
interface Signature {
  readonly plan: Plan;
  readonly outputs: readonly { name: string; shape: Shape; strides: readonly number[] }[];
}

/** What a model is made of. */
export interface ModelParts<Config> {
  /** Keys as in config.json, defaults filled in. */
  readonly config: Config;
  /** Need not be in GPU memory yet: a trace takes their shapes only. */
  readonly weights: Weights;
  /** Type of weights and activations. */
  readonly dtype: DType;
  /** Commit of the repository, for models from the hub. */
  readonly revision?: string | undefined;
  /** Brings the weights that were read into memory, all or those of an entry point; returns what frees them. */
  readonly bring: (only?: string, signal?: AbortSignal) => Promise<() => void>;
}

/** What to bring into memory. */
export interface LoadPartOptions {
  /** The entry point whose weights alone are wanted, e.g. "step" of FLUX. */
  only?: string | undefined;
  /** Ends the loading. */
  signal?: AbortSignal | undefined;
}

/** A network with its config and weights. Its `forward` is traced once per shape and replayed. */
export abstract class Model<Config = unknown> implements Disposable {
  /** Keys as in config.json, defaults filled in. */
  readonly config: Config;
  /** Type of weights and activations; results are f32 all the same. */
  readonly dtype: DType;
  /** Commit of the repository that it was loaded from; a local folder has none. */
  readonly revision: string | undefined;
  /** The one that was current when the model was made. */
  readonly device: Device;
  /** What LoRAs hang on the weights, see `loadLora`. They stay when the weights leave memory. */
  readonly adapters: Adapters;
  /** Read while `forward` is traced, not when a trace is replayed. */
  protected readonly weights: Weights;
  readonly #edits: Edits;
  readonly #signatures = new Map<string, Signature>();
  readonly #presence: Presence;
  readonly #views = new DenseViews();
  #workspace = 0;
  /** Of the largest call that was measured. */
  #measured = 0;
  /** What becomes of calls: they run, are measured, or take their memory, where their weights are in memory. */
  #calls: "run" | "measured" | "expected" | "reserved" = "run";
  #disposed = false;

  /** For buildModel(), which then traces the model and fills the weights that it read. */
  constructor({ config, weights, dtype, revision, bring }: ModelParts<Config>) {
    this.config = config;
    this.weights = weights;
    this.dtype = dtype;
    this.revision = revision;
    this.device = currentDevice();
    const forget = () => this.retrace();
    this.adapters = new Adapters(this.device, weights, dtype, forget);
    this.#edits = new Edits(this.constructor.name, forget);
    this.#presence = new Presence(this.device, {
      forget,
      bring: async (only, signal) => {
        const there = weights.there;
        using bringing = new DisposableStack();
        bringing.defer(await bring(only, signal));
        await this.adapters.arrive(there, signal);
        const brought = bringing.move();
        return () => brought.dispose();
      },
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
    return this.#edits.add(path, fn, options);
  }

  /** Whether the weights are in memory, or a part of them. */
  get loaded(): boolean {
    return this.#presence.here;
  }

  /** In how few bits its matrices are stored, by its options or as memory is short. */
  get quantize(): PackedDType | undefined {
    return this.weights.quantize;
  }

  /** Whether somebody needs weights that were acquired. */
  get needed(): boolean {
    return this.#presence.needed;
  }

  /** Whether some weights stay on the disk and come whenever they are read. */
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

  /** Bytes that the weights take while they are streamed from the disk: what is small stays, the rest comes in turn. */
  get streamedBytes(): number {
    return this.weights.divided({ stream: {} }).bytes;
  }

  /** Bytes that the largest call so far, run, measured or prepared for, takes in GPU memory beside the weights. */
  get workspace(): number {
    return this.#workspace;
  }

  /** Bytes that the largest of the calls in `work` takes beside the weights. Nothing runs, and no weights are needed. */
  measure(work: () => unknown): number {
    this.#measured = 0;
    this.#rehearse("measured", work);
    this.#workspace = Math.max(this.#workspace, this.#measured);
    return this.#measured;
  }

  /** Throws where the adapter cannot run the calls in `work`, whatever memory there is. No weights are needed. */
  expectRunnable(work: () => unknown): void {
    this.#rehearse("expected", work);
  }

  /** Takes the memory that the calls in `work` need beside the weights. Nothing runs; the calls that follow use it. */
  reserve(work: () => unknown): void {
    this.#rehearse("reserved", work);
  }

  #rehearse(calls: "measured" | "expected" | "reserved", work: () => unknown): void {
    this.#calls = calls;
    using _made = scope();
    try {
      streamOf(this.device).rehearse(work);
    } finally {
      this.#calls = "run";
    }
  }

  /**
   * How far each matrix in fewer bits is from the file's, by its name there: the root of the mean squared error over that
   * of the values. Empty until the model was loaded.
   */
  get packingErrors(): ReadonlyMap<string, number> {
    return this.weights.errors ?? new Map();
  }

  /**
   * Brings the weights into memory, unless they are there; of `only` one entry point those that it reads, in
   * place of what nobody needs. Several callers at once share the work.
   */
  async load({ only, signal }: LoadPartOptions = {}): Promise<void> {
    this.#expectUndisposed();
    await this.#presence.visit(only, signal);
    this.#expectUndisposed();
  }

  /** The same, and the weights stay until what is returned is disposed, or until `unload()`. */
  async acquire({ only, signal }: LoadPartOptions = {}): Promise<Disposable> {
    this.#expectUndisposed();
    const lease = await this.#presence.acquire(only, signal);
    this.#expectUndisposed();
    return lease;
  }

  /** Gives the memory of weights and activations back, after the work already recorded. `load()` brings them back. */
  unload(): void {
    this.#presence.free();
    this.retrace();
    this.adapters.leave();
  }

  /** Stores the weights in another way from the next load on; they leave the memory. */
  store(format: Pick<WeightFormat, "quantize" | "stream">): void {
    this.unload();
    this.weights.reformat(format);
    this.prepare();
  }

  /** Forgets all traces, or those of one key, so that the next call is recorded anew. */
  retrace(key?: string): void {
    const stream = streamOf(this.device);
    for (const [id, { plan }] of this.#signatures) {
      if (key !== undefined && !id.startsWith(`${key}; `)) continue;
      stream.drop(plan);
      this.#signatures.delete(id);
    }
    this.#views.clear();
  }

  /** Traces every entry point at its usual size, so that loading knows which weights are read and compiles early. */
  abstract prepare(): void;

  /**
   * Runs a pure function of tensors on this model's device, replaying its trace when the same signature comes again.
   * Results come back as f32. `key` names what else the trace depends on.
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
    const wanted = [...new Set(taps)];
    const all = this.#calls === "run"
      ? this.#call(key, inputs, fn, wanted)
      : this.#calls === "reserved" && this.#presence.has(key)
      ? this.#reserve(key, inputs, fn, wanted)
      : this.#measure(inputs, fn, wanted);
    const count = all.length - wanted.length;
    return {
      results: Object.fromEntries(all.slice(0, count)) as Out,
      taps: Object.fromEntries(all.slice(count)) as Taps<Path>,
    };
  }

  /** Runs the trace; its results by name, then those of the taps by path. */
  #call(
    key: string,
    inputs: Tensors,
    fn: (inputs: Tensors) => Tensors,
    taps: readonly string[],
  ): [string, Tensor][] {
    expectOutsideEdits(this.constructor.name);
    this.expectLoaded(key);
    const values = this.#fitted(inputs, this.#views);
    const { plan, outputs } = this.#signature(key, values, fn, taps);
    const call = new Call(plan, values.map(([, x]) => x.node), currentPath());
    const stream = streamOf(this.device);
    for (const output of call.outputs) stream.add(output);
    return outputs.map(({ name, shape, strides }, i) => [
      name,
      new Tensor(this.device, call.outputs[i]!, shape, strides, 0),
    ]);
  }

  /** Traces without running. */
  protected rehearsed(key: string, inputs: Tensors, fn: (inputs: Tensors) => Tensors): void {
    const trace = () => this.#signature(key, this.#fitted(inputs), fn, []);
    streamOf(this.device).rehearse(() => this.weights.rehearse(key, trace));
  }

  /** Inputs, and those of adapters and edits, as the trace takes them: dense, 4-D ones channels-last. */
  #fitted(inputs: Tensors, views?: DenseViews): (readonly [string, Tensor])[] {
    const all = Object.entries({ ...inputs, ...this.adapters.inputs, ...this.#edits.inputs });
    return all.map(([name, x]) => {
      const strides = usualStrides(x.shape);
      return [name, views ? views.of(name, x, strides) : x.contiguous(strides)] as const;
    });
  }

  #signature(
    key: string,
    values: readonly (readonly [string, Tensor])[],
    fn: (inputs: Tensors) => Tensors,
    taps: readonly string[],
  ): Signature {
    const shapes = values.map(([name, x]) => `${name} ${formatShape(x.shape)} ${x.dtype}`);
    const id = [key, ...shapes, ...taps.map((path) => `tap ${path}`)].join("; ");
    let signature = this.#signatures.get(id);
    if (!signature) this.#signatures.set(id, signature = this.#trace(values, fn, taps));
    return signature;
  }

  #trace(
    values: readonly (readonly [string, Tensor])[],
    fn: (inputs: Tensors) => Tensors,
    taps: readonly string[],
  ): Signature {
    const { leaves, results, record } = this.#recording(values, fn, taps);
    const plan = streamOf(this.device).trace(this.constructor.name, leaves, record);
    this.#workspace = Math.max(this.#workspace, plan.bytes);
    return { plan, outputs: results.map(([name, { shape, strides }]) => ({ name, shape, strides })) };
  }

  /** A trace to come: its inputs, what records it, and its results once it is recorded. */
  #recording(
    values: readonly (readonly [string, Tensor])[],
    fn: (inputs: Tensors) => Tensors,
    taps: readonly string[],
  ): {
    leaves: Leaf[];
    results: [string, Tensor][];
    record: () => Node[];
  } {
    const leaves = values.map(([name, x]) => new Input(x.dtype, x.size, name));
    const inputs = Object.fromEntries(values.map(([name, x], i) => {
      return [name, new Tensor(this.device, leaves[i]!, x.shape, usualStrides(x.shape), 0)];
    }));
    const results: [string, Tensor][] = [];
    const record = () => {
      const run = () => this.adapters.during(inputs, () => fn(inputs));
      const { result, tapped } = this.#edits.during(inputs, taps, run);
      for (const [name, y] of [...Object.entries(result), ...tapped]) {
        results.push([name, y.cast("f32").contiguous(usualStrides(y.shape))]);
      }
      return results.map(([, y]) => y.node);
    };
    return { leaves, results, record };
  }

  /** Takes the memory of a call instead of running it. The results have their shapes, but no values. */
  #reserve(
    key: string,
    inputs: Tensors,
    fn: (inputs: Tensors) => Tensors,
    taps: readonly string[],
  ): [string, Tensor][] {
    const { plan, outputs } = this.#signature(key, this.#fitted(inputs), fn, taps);
    plan.reserve();
    return outputs.map(({ name, shape, strides }, i) => [
      name,
      new Tensor(this.device, plan.outputs[i]!, shape, strides, 0),
    ]);
  }

  /** Takes the bytes of a call instead of running it. The results have their shapes, but no values. */
  #measure(
    inputs: Tensors,
    fn: (inputs: Tensors) => Tensors,
    taps: readonly string[],
  ): [string, Tensor][] {
    const { leaves, results, record } = this.#recording(this.#fitted(inputs), fn, taps);
    const bytes = streamOf(this.device).measure(leaves, record, this.#calls === "expected");
    this.#measured = Math.max(this.#measured, bytes);
    return results;
  }

  /** Throws unless the weights are in memory, those of an entry point at least. */
  protected expectLoaded(entry?: string): void {
    this.#expectUndisposed();
    if (this.#presence.has(entry)) return;
    const [only] = this.#presence.only;
    const lacks = only ? `of its weights only those of "${only}" are` : "its weights are not";
    throw new Error(`Cannot run ${this.constructor.name}: ${lacks} in memory; await its load() first`);
  }

  #expectUndisposed(): void {
    if (this.#disposed) {
      throw new Error(`Cannot run ${this.constructor.name}: it was disposed; load it again`);
    }
  }

  /** Gives back the memory of weights and activations for good, after the work already recorded. */
  [Symbol.dispose](): void {
    this.#disposed = true;
    this.adapters.release();
    this.unload();
  }
}
