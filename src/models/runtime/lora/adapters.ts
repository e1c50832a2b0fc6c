import type { DType } from "../../../core/dtype.ts";
import { nearest } from "../../../core/error.ts";
import { type Shape, size } from "../../../core/shape.ts";
import type { Device } from "../../../gpu/device.ts";
import type { Node } from "../../../graph/node.ts";
import { streamOf } from "../../../graph/run/stream.ts";
import type { Checkpoint } from "../../../io/formats/checkpoint.ts";
import type { ChangePlacement, Layers, Placed } from "../../../io/lora/match.ts";
import type { UploadProgress } from "../../../io/upload/upload.ts";
import { Parameter } from "../../../ops/low_rank.ts";
import type { Tensor } from "../../../tensor/mod.ts";
import type { Weights } from "../weights.ts";
import { bytesOfMatrices, type Joined, joinMatrices, type Matrices, readMatrices } from "./matrices.ts";
import { type Applied, expectFinite, MergedWeights } from "./merged.ts";
import type { Scales } from "./scales.ts";

/**
 * Strength of an adapter: one number, or one for each part of the model whose layers' names begin so, such as
 * `{ "down_blocks.1": 0.5, "mid_block": 0 }`. Of several that fit a layer the longest counts; layers without one have 1.
 */
export type AdapterScale = number | Readonly<Record<string, number>>;

/** An adapter, in memory or not. */
interface Adapter {
  scale: AdapterScale;
  readonly placed: Placed;
  /** Opens its file. */
  readonly open: () => Promise<Checkpoint>;
  /** Bytes that the matrices of its products take in memory. */
  readonly bytes: number;
  readonly read: (signal?: AbortSignal) => Promise<Matrices>;
  /** Undefined while they are not in memory. */
  matrices: Matrices | undefined;
}

/** Options of `Adapters.attach`. */
export interface AttachOptions {
  scale: number;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: UploadProgress) => void) | undefined;
}

/** Parts of a model that its adapters work with. */
interface AdaptersParts {
  readonly scales: Scales;
  /** Drops all traces. */
  readonly forget: () => void;
  /** Opens the files of the weights. */
  readonly open: () => Promise<Checkpoint>;
}

/**
 * The LoRAs of one model, and how strong each is. Low-rank products are added to those of a layer, two however many
 * adapters it has; their matrices are loaded and freed with the model's weights. All other kinds (LoHa, LoKr, DoRA,
 * whole weights, …) are merged into the weights in the order in which they were loaded, before any product is added.
 */
export class Adapters {
  readonly #device: Device;
  readonly #weights: Weights;
  readonly #dtype: DType;
  readonly #scales: Scales;
  readonly #forget: () => void;
  #adapters: ReadonlyMap<string, Adapter> = new Map();
  /** Matrices that the products of each layer are given; none while the weights are not in memory. */
  #joined: ReadonlyMap<string, Joined> = new Map();
  readonly #merged: MergedWeights;
  /** Names of adapters that are part of the weights for good, and all that they change there, in order. */
  #baked: { readonly names: readonly string[]; readonly changes: readonly Applied[] } = {
    names: [],
    changes: [],
  };
  /** Number of changes of weights that are not finished. */
  #merging = 0;
  /** True while the weights are in memory, and the adapters with them. */
  #loaded = false;
  /** Names of those that are being read. */
  readonly #attaching = new Set<string>();
  /** Changes go one after the other. */
  #changed: Promise<unknown> = Promise.resolve();

  /** For a model without adapters so far: its traces take `scales` as an input, and `forget` drops them. */
  constructor(weights: Weights, dtype: DType, { scales, forget, open }: AdaptersParts) {
    this.#device = scales.device;
    this.#merged = new MergedWeights(this.#device, weights, open);
    this.#weights = weights;
    this.#dtype = dtype;
    this.#scales = scales;
    this.#forget = forget;
  }

  /** The scales of the adapters by their names, in the order in which they were loaded. */
  get scales(): Record<string, AdapterScale> {
    return Object.fromEntries([...this.#adapters].map(([name, { scale }]) => [name, scale]));
  }

  /** The names of those that were baked into the weights. */
  get baked(): string[] {
    return [...this.#baked.names];
  }

  /** Bytes that all of them take in memory, with what joins several of a layer. */
  get bytes(): number {
    const own = [...this.#adapters.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    return (this.#adapters.size > 1 ? 2 : 1) * own;
  }

  /** All names that are taken. */
  get names(): string[] {
    return [...this.#adapters.keys(), ...this.#attaching, ...this.baked];
  }

  /** Shapes of the weights that products can be added to: those of dense layers and convolutions. */
  get layers(): ReadonlyMap<string, Shape> {
    const found = [...this.#weights.tensors].filter(([key, { node }]) =>
      key.endsWith(".weight") && node instanceof Parameter && node.multiplied
    );
    return new Map(found.map(([key, { shape }]) => [key.slice(0, -".weight".length), shape]));
  }

  /**
   * What the file of an adapter may change.
   * @internal
   */
  get targets(): Layers {
    return { products: this.layers, tensors: this.#weights.shapes };
  }

  /**
   * Sets the scales of the named adapters; all others are switched off. Low-rank products have them in the calls from
   * here on; where weights are changed, calls are possible once the promise has resolved.
   */
  set(scales: Readonly<Record<string, AdapterScale>>): Promise<void> {
    for (const [name, scale] of Object.entries(scales)) {
      const { placed } = this.#find(name);
      if (typeof scale === "number") expectScale(scale);
      else expectParts(name, scale, placed);
    }
    for (const [name, adapter] of this.#adapters) adapter.scale = scales[name] ?? 0;
    this.#sendScales();
    return this.#isMerging ? this.#change(() => this.#merge()) : Promise.resolve();
  }

  /** Takes adapters off, all where none is named. After the last one the model computes what it did without. */
  remove(...names: string[]): Promise<void> {
    return this.#change(async () => {
      for (const name of names.length ? names : this.baked) this.#find(name);
      const gone = new Set(names.length ? names : this.#adapters.keys());
      await this.#replace(new Map([...this.#adapters].filter(([name]) => !gone.has(name))));
    });
  }

  /**
   * Adds all adapters into the weights, as strong as they are now: calls then cost what they cost without
   * any. There is no way back to the weights before but to load the model again. Weights must be in memory.
   */
  bake(): Promise<void> {
    return this.#change(async () => {
      if (!this.#loaded) {
        throw new Error(
          "Cannot bake adapters: expected weights in memory, got none; await the model's load() first",
        );
      }
      const all = [...this.#adapters.values()];
      const products = changesOf(all.map((one) => ({ ...one, placed: merging(one.placed.pairs) })));
      const changes = [...this.#baked.changes, ...changesOf(all), ...products]; // as calls have them: products last
      await this.#merge(changes);
      this.#baked = { names: [...this.#baked.names, ...this.#adapters.keys()], changes };
      const gone = this.#take(this.#adapters.values());
      this.#adapters = new Map();
      this.#free([...this.#setJoined(new Map()), ...gone]);
    });
  }

  /**
   * Loads all adapters, and changes those weights that were loaded.
   * @internal
   */
  load(weights: readonly Node[], signal?: AbortSignal): Promise<void> {
    return this.#change(async () => {
      if (!this.#loaded) await this.#readAll(signal);
      this.#loaded = true;
      this.#merged.forget(new Set(weights));
      await this.#merge(undefined, signal);
    });
  }

  /**
   * Throws while weights are being changed.
   * @internal
   */
  expectMerged(model: string): void {
    if (this.#merging === 0) return;
    throw new Error(
      `Cannot run ${model}: adapters are being merged into its weights; await what sets, loads or removes them`,
    );
  }

  /**
   * Ends when all changes that were asked for have.
   * @internal
   */
  settled(): Promise<unknown> {
    return this.#changed;
  }

  /**
   * Frees the adapters' memory, after the work that is recorded, until the weights are loaded again.
   * @internal
   */
  unload(): void {
    void this.#change(() => {
      if (this.#loaded) this.#free(this.#setJoined(new Map()));
      this.#loaded = false;
      this.#merged.forget();
      this.#free(this.#take(this.#adapters.values()));
      return Promise.resolve();
    });
  }

  /**
   * Reads an adapter's matrices of a file and adds them to the products of their layers, now or when the weights
   * are loaded.
   * @internal
   */
  async attach(
    name: string,
    placed: Placed,
    open: () => Promise<Checkpoint>,
    { scale, signal, onProgress }: AttachOptions,
  ): Promise<void> {
    expectScale(scale);
    const { pairs: placements, changes } = placed;
    const shapes = new Map(placements.map(({ layer }) => [layer, this.#weight(layer).shape]));
    const options = { label: `LoRA ${name}`, dtype: this.#dtype, shapes, onProgress };
    const read = async (signal?: AbortSignal) => {
      using checkpoint = await open();
      await expectFinite(this.#device, changes, checkpoint, { label: options.label, signal });
      return await readMatrices(this.#device, placements, checkpoint, { ...options, signal });
    };
    this.#attaching.add(name);
    try {
      const matrices = await read(signal); // errors of the file are thrown now
      const bytes = bytesOfMatrices(placements, this.#dtype);
      const adapter: Adapter = { scale, placed, open, bytes, read, matrices };
      await this.#change(async () => {
        try {
          await this.#replace(new Map([...this.#adapters, [name, adapter]]));
        } catch (error) {
          matrices.release();
          throw error;
        }
        if (!this.#loaded) this.#free(this.#take([adapter]));
      });
    } finally {
      this.#attaching.delete(name);
    }
  }

  /**
   * Gives all memory back.
   * @internal
   */
  release(): void {
    const gone = [...this.#adapters.values()];
    this.#adapters = new Map();
    this.#free([...this.#setJoined(new Map()), ...this.#take(gone)]);
    this.#changed.then(() => this.#free(this.#take(gone))); // those that were being read
  }

  /** Reads those that are not in memory, all or none. */
  async #readAll(signal?: AbortSignal): Promise<void> {
    const absent = [...this.#adapters.values()].filter(({ matrices }) => !matrices);
    try {
      for (const adapter of absent) adapter.matrices = await adapter.read(signal);
      if (absent.length > 0) await this.#join(this.#adapters); // else the traces stay
    } catch (error) {
      this.#free(this.#take(absent));
      throw error;
    }
  }

  /** Takes other adapters in place of those that there are. */
  async #replace(adapters: ReadonlyMap<string, Adapter>): Promise<void> {
    const gone = [...this.#adapters].filter(([name]) => !adapters.has(name)).map(([, adapter]) => adapter);
    if (this.#loaded) {
      await this.#merge([...this.#baked.changes, ...changesOf([...adapters.values()])]);
      try {
        await this.#join(adapters);
      } catch (error) {
        await this.#merge();
        throw error;
      }
    }
    this.#adapters = adapters;
    this.#free(this.#take(gone));
  }

  /** True if adapters change weights. */
  get #isMerging(): boolean {
    return this.#loaded && [...this.#adapters.values()].some(({ placed }) => placed.changes.length > 0);
  }

  /** Gives weights in memory these changes, by default those of all adapters; if it fails, those of before. */
  async #merge(changes?: readonly Applied[], signal?: AbortSignal): Promise<void> {
    const all = [...this.#baked.changes, ...changesOf([...this.#adapters.values()])];
    const begin = () => {
      if (started) return;
      started = true;
      this.#merging++;
      this.#forget();
    };
    let started = false;
    try {
      await this.#merged.become(changes ?? all, begin, signal);
    } catch (error) {
      if (started && changes) await this.#merged.become(all, begin);
      throw error;
    } finally {
      if (started) this.#merging--;
    }
  }

  /** Adds the products of adapters, all of which are in memory, in place of those that there are. */
  async #join(adapters: ReadonlyMap<string, Adapter>): Promise<void> {
    const matrices = [...adapters].map(([name, { matrices }]) => [name, matrices!] as const);
    const joined = await joinMatrices(this.#device, matrices, this.#joined);
    this.#adapters = adapters;
    this.#free(this.#setJoined(joined));
  }

  /** Changes what the products of each layer are given; returns what is not used any more. */
  #setJoined(joined: ReadonlyMap<string, Joined>): Joined[] {
    this.#forget();
    for (const layer of this.#joined.keys()) this.#parameter(layer).lowRank = undefined;
    const used = new Set(joined.values());
    const unused = [...this.#joined.values()].filter((one) => !used.has(one));
    this.#joined = joined;
    let end = 0;
    for (const [layer, { down, up }] of joined) {
      const [first, next] = [end, end += down.shape[0]!];
      this.#parameter(layer).lowRank = { down, up, scale: () => this.#scales.slice(first, next) };
    }
    this.#sendScales();
    return unused;
  }

  /** Sends the factors of all ranks to the GPU. */
  #sendScales(): void {
    const before = this.#scales.set(
      [...this.#joined].flatMap(([layer, joined]) => this.#factorsOf(layer, joined)),
    );
    if (before) this.#free([before]);
  }

  /** Factor of the product of each rank. */
  #factorsOf(layer: string, { factors }: Joined): number[] {
    return factors.flatMap(({ name, rank, factor }) =>
      Array<number>(rank).fill(factor * scaleOf(this.#adapters.get(name)!.scale, layer))
    );
  }

  /** Takes from adapters their matrices in memory. */
  #take(adapters: Iterable<Adapter>): Matrices[] {
    return [...adapters].flatMap((adapter) => {
      const { matrices } = adapter;
      adapter.matrices = undefined;
      return matrices ? [matrices] : [];
    });
  }

  /** After the work that is recorded. */
  #free(things: readonly { release(): void }[]): void {
    streamOf(this.#device).afterSubmit(() => things.forEach((thing) => thing.release()));
  }

  /** Waits for the changes before, whatever became of them. */
  #change(change: () => Promise<void>): Promise<void> {
    const done = this.#changed.then(change);
    this.#changed = done.catch(() => {});
    return done;
  }

  #find(name: string): Adapter {
    const found = this.#adapters.get(name);
    if (found) return found;
    if (this.baked.includes(name)) {
      throw new Error(
        `Cannot change adapter "${name}": it was baked into the weights; load the model again to be without it`,
      );
    }
    const near = nearest(name, this.#adapters.keys());
    throw new Error(`Cannot find adapter "${name}": ${near ? `nearest is "${near}"` : "there is none"}`);
  }

  #weight(layer: string): Tensor {
    return this.#weights.tensor(`${layer}.weight`)!;
  }

  #parameter(layer: string): Parameter {
    return this.#weight(layer).node as Parameter;
  }
}

/** All that adapters change in weights, as strong as they are. */
function changesOf(adapters: readonly Adapter[]): Applied[] {
  return adapters.flatMap(({ placed: { changes }, scale, open }) =>
    changes.map((placement) => ({ placement, scale: scaleOf(scale, placement.layers[0]!.layer), open }))
  ).filter(({ scale }) => scale !== 0);
}

/** Products as changes of weights. */
function merging(pairs: Placed["pairs"]): Placed {
  const changes = [...Map.groupBy(pairs, ({ pair }) => pair)].map(([pair, layers]): ChangePlacement => {
    const { down, up } = pair;
    const [rows = 0, columns] = [up.shape[0], size(down.shape.slice(1))];
    return {
      change: { ...pair, kind: "LoRA", target: "weight", tensors: { down, up }, rows, columns },
      layers,
    };
  });
  return { pairs: [], changes };
}

/** The scale for a layer. */
function scaleOf(scale: AdapterScale, layer: string): number {
  if (typeof scale === "number") return scale;
  const parts = Object.keys(scale).filter((part) => isIn(layer, part));
  return parts.length > 0 ? scale[parts.reduce((a, b) => a.length >= b.length ? a : b)]! : 1;
}

function isIn(layer: string, part: string): boolean {
  return layer === part || layer.startsWith(`${part}.`);
}

function expectParts(
  name: string,
  scales: Readonly<Record<string, number>>,
  { pairs, changes }: Placed,
): void {
  const layers = [...pairs, ...changes.flatMap(({ layers }) => layers)].map(({ layer }) => layer);
  for (const [part, scale] of Object.entries(scales)) {
    expectScale(scale);
    if (layers.some((layer) => isIn(layer, part))) continue;
    throw new Error(
      `Cannot set adapter "${name}" in "${part}": it changes no layer whose name begins so, but e.g. "${
        layers[0]
      }"`,
    );
  }
}

function expectScale(scale: number): void {
  if (Number.isFinite(scale)) return;
  throw new RangeError(`Cannot set an adapter's scale to ${scale}: expected a finite number`);
}
