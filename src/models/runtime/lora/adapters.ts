import type { DType } from "../../../core/dtype.ts";
import { nearest } from "../../../core/error.ts";
import type { Shape } from "../../../core/shape.ts";
import type { Device } from "../../../gpu/device.ts";
import type { Node } from "../../../graph/node.ts";
import { streamOf } from "../../../graph/run/stream.ts";
import type { Checkpoint } from "../../../io/formats/checkpoint.ts";
import type { Placement } from "../../../io/lora/match.ts";
import type { UploadProgress } from "../../../io/upload/upload.ts";
import { Parameter } from "../../../ops/low_rank.ts";
import type { Tensor } from "../../../tensor/mod.ts";
import type { Weights } from "../weights.ts";
import { BakedAdapters } from "./bake.ts";
import { bytesOfMatrices, type Joined, joinMatrices, type Matrices, readMatrices } from "./matrices.ts";
import { type Scales, uploadFactors } from "./scales.ts";

/** An adapter, in memory or not. */
interface Adapter {
  scale: number;
  /** Bytes that its matrices take in memory. */
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

/**
 * The LoRAs of one model, and how strong each is. Weights stay as they are: low-rank products are added to theirs,
 * two for a layer however many adapters it has. The matrices are loaded and freed with the model's weights.
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
  readonly #baked = new BakedAdapters((layer) => this.#weight(layer));
  /** True while the weights are in memory, and the adapters with them. */
  #loaded = false;
  /** Names of those that are being read. */
  readonly #attaching = new Set<string>();
  /** Changes go one after the other. */
  #changed: Promise<unknown> = Promise.resolve();

  /** For a model without adapters so far: its traces take `scales` as an input, and `forget` drops them. */
  constructor(weights: Weights, dtype: DType, scales: Scales, forget: () => void) {
    this.#device = scales.device;
    this.#weights = weights;
    this.#dtype = dtype;
    this.#scales = scales;
    this.#forget = forget;
  }

  /** The scales of the adapters by their names, in the order in which they were loaded. */
  get scales(): Record<string, number> {
    return Object.fromEntries([...this.#adapters].map(([name, { scale }]) => [name, scale]));
  }

  /** The names of those that were baked into the weights. */
  get baked(): string[] {
    return this.#baked.names;
  }

  /** Bytes that all of them take in memory, with what joins several of a layer. */
  get bytes(): number {
    const own = [...this.#adapters.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    return (this.#adapters.size > 1 ? 2 : 1) * own + this.#baked.bytes;
  }

  /** All names that are taken. */
  get names(): string[] {
    return [...this.#adapters.keys(), ...this.#attaching, ...this.baked];
  }

  /** Shapes of the weights that adapters may change: those of dense layers and convolutions. */
  get layers(): ReadonlyMap<string, Shape> {
    const found = [...this.#weights.tensors].filter(([key, { node }]) =>
      key.endsWith(".weight") && node instanceof Parameter && node.multiplied
    );
    return new Map(found.map(([key, { shape }]) => [key.slice(0, -".weight".length), shape]));
  }

  /** Sets the scales of the named adapters; all others are switched off. */
  set(scales: Readonly<Record<string, number>>): void {
    for (const [name, scale] of Object.entries(scales)) {
      this.#find(name);
      expectScale(scale);
    }
    for (const [name, adapter] of this.#adapters) adapter.scale = scales[name] ?? 0;
    this.#sendScales();
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
      const merges = [...this.#joined].map(([layer, joined]) => {
        return { ...joined, layer, scale: uploadFactors(this.#device, this.#factorsOf(joined)) };
      });
      const owned = [...this.#adapters].map(([name, { bytes, matrices }]) =>
        [name, { bytes, release: () => matrices!.release() }] as const
      );
      await this.#baked.add(merges, owned);
      this.#take(this.#adapters.values()); // theirs from now on, as is what was joined
      this.#adapters = new Map();
      this.#setJoined(new Map());
    });
  }

  /**
   * Loads all adapters, and adds what was baked to weights that were loaded.
   * @internal
   */
  load(weights: readonly Node[], signal?: AbortSignal): Promise<void> {
    return this.#change(async () => {
      if (!this.#loaded) await this.#readAll(signal);
      this.#loaded = true;
      await this.#baked.again(weights);
    });
  }

  /**
   * Frees the adapters' memory, after the work that is recorded, until the weights are loaded again.
   * @internal
   */
  unload(): void {
    void this.#change(() => {
      if (this.#loaded) this.#free(this.#setJoined(new Map()));
      this.#loaded = false;
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
    placements: readonly Placement[],
    open: () => Promise<Checkpoint>,
    { scale, signal, onProgress }: AttachOptions,
  ): Promise<void> {
    expectScale(scale);
    const shapes = new Map(placements.map(({ layer }) => [layer, this.#weight(layer).shape]));
    const options = { label: `LoRA ${name}`, dtype: this.#dtype, shapes, onProgress };
    const read = async (signal?: AbortSignal) => {
      using checkpoint = await open();
      return await readMatrices(this.#device, placements, checkpoint, { ...options, signal });
    };
    this.#attaching.add(name);
    try {
      const matrices = await read(signal); // errors of the file are thrown now
      const adapter: Adapter = { scale, bytes: bytesOfMatrices(placements, this.#dtype), read, matrices };
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
    this.#free([...this.#setJoined(new Map()), ...this.#take(gone), this.#baked]);
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
    if (this.#loaded) await this.#join(adapters);
    this.#adapters = adapters;
    this.#free(this.#take(gone));
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
    const before = this.#scales.set([...this.#joined.values()].flatMap((joined) => this.#factorsOf(joined)));
    if (before) this.#free([before]);
  }

  /** Factor of the product of each rank. */
  #factorsOf({ factors }: Joined): number[] {
    return factors.flatMap(({ name, rank, factor }) =>
      Array<number>(rank).fill(factor * this.#adapters.get(name)!.scale)
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

function expectScale(scale: number): void {
  if (Number.isFinite(scale)) return;
  throw new RangeError(`Cannot set an adapter's scale to ${scale}: expected a finite number`);
}
