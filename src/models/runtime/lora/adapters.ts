import type { DType } from "../../../core/dtype.ts";
import { nearest } from "../../../core/error.ts";
import { contiguousStrides, type Shape } from "../../../core/shape.ts";
import type { Device } from "../../../gpu/device.ts";
import { Leaf, type Node } from "../../../graph/node.ts";
import { streamOf } from "../../../graph/run/stream.ts";
import type { Checkpoint } from "../../../io/formats/checkpoint.ts";
import type { Placement } from "../../../io/lora/match.ts";
import type { UploadProgress } from "../../../io/upload/upload.ts";
import { Parameter } from "../../../ops/low_rank.ts";
import { Tensor } from "../../../tensor/mod.ts";
import { type AdapterPart, bringParts, type BroughtParts, bytesOfParts } from "./matrices.ts";
import { BakedAdapters } from "./bake.ts";
import { type Joined, joinParts } from "./joined.ts";
import type { Weights } from "../weights.ts";

/** An adapter, in memory or not. */
interface Adapter {
  scale: number;
  /** Bytes that its matrices take in memory. */
  readonly bytes: number;
  /** Reads its matrices into memory. */
  readonly bring: (signal?: AbortSignal) => Promise<BroughtParts>;
  /** By the layers that it changes; undefined while it is not in memory. */
  brought: BroughtParts | undefined;
}

/** Options of `Adapters.attach`. */
export interface AttachOptions {
  scale: number;
  signal?: AbortSignal | undefined;
  onProgress?: ((progress: UploadProgress) => void) | undefined;
}

const INPUT = "adapter scales"; // of a traced function

/**
 * What hangs on the layers of one model, and how strong it is. It comes into memory and leaves it with the
 * model's weights, which stay as they are: low-rank
 * products are added to theirs, two for a layer however many adapters it has. Scales are an input of the
 * traced model: to change them costs no new trace, and only results that depend on them are computed again.
 */
export class Adapters {
  readonly #device: Device;
  readonly #weights: Weights;
  readonly #dtype: DType;
  readonly #retrace: () => void;
  #adapters: ReadonlyMap<string, Adapter> = new Map();
  #joined: ReadonlyMap<string, Joined> = new Map();
  /** Factors of all ranks of all layers, one after the other. */
  #scales: Tensor | undefined;
  /** The same as an input of the trace at hand. */
  #traced: Tensor | undefined;
  /** Whether they hang on weights that are in memory. */
  #here = false;
  /** Names of those on their way into memory. */
  readonly #coming = new Set<string>();
  /** Changes go one after the other. */
  #changed: Promise<unknown> = Promise.resolve();
  readonly #baked = new BakedAdapters((layer) => this.#weight(layer));

  /** Of a model that has none yet; `retrace` makes it forget its traces. */
  constructor(device: Device, weights: Weights, dtype: DType, retrace: () => void) {
    this.#device = device;
    this.#weights = weights;
    this.#dtype = dtype;
    this.#retrace = retrace;
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
    return [...this.#adapters.keys(), ...this.#coming, ...this.baked];
  }

  /** Shapes of the weights that adapters may hang on: those of dense layers and convolutions. */
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
    this.#refresh();
  }

  /**
   * Takes adapters off, all where none is named. After the last one the model computes what it did without.
   */
  remove(...names: string[]): Promise<void> {
    return this.#change(async () => {
      for (const name of names.length ? names : this.baked) this.#find(name);
      const gone = new Set(names.length ? names : this.#adapters.keys());
      const left = new Map([...this.#adapters].filter(([name]) => !gone.has(name)));
      if (this.#here) await this.#exchange(left);
      else this.#adapters = left;
    });
  }

  /**
   * Adds all adapters into the weights, as strong as they are now: calls then cost what they cost without
   * any. There is no way back to the weights before but to load the model again. Weights must be in memory.
   */
  bake(): Promise<void> {
    return this.#change(async () => {
      const merges = [...this.#joined].map(([layer, joined]) => ({
        layer,
        ...joined,
        scale: this.#upload(this.#values(joined)),
      }));
      if (!this.#here) {
        throw new Error(
          "Cannot bake adapters: expected weights in memory, got none; await the model's load() first",
        );
      }
      const owned = [...this.#adapters].map(([name, { bytes, brought }]) =>
        [name, { bytes, release: () => brought!.release() }] as const
      );
      await this.#baked.add(merges, new Map(owned));
      for (const layer of this.#joined.keys()) this.#parameter(layer).lowRank = undefined;
      this.#joined = new Map(); // theirs from now on
      this.#adapters = new Map();
      this.#hang(new Map());
    });
  }

  /**
   * Loads all adapters, and adds what was baked to weights that were loaded.
   * @internal
   */
  load(weights: readonly Node[], signal?: AbortSignal): Promise<void> {
    return this.#change(async () => {
      if (!this.#here) await this.#bringAll(signal);
      this.#here = true;
      await this.#baked.again(weights);
    });
  }

  /**
   * Gives the adapters' memory back, after the work that is recorded, until the weights come again.
   * @internal
   */
  unload(): void {
    void this.#change(() => {
      if (this.#here) this.#hang(new Map());
      this.#here = false;
      this.#free(this.#takeBrought(this.#adapters.values()));
      return Promise.resolve();
    });
  }

  /**
   * Reads an adapter's matrices of a file and hangs them on their layers, now or when the weights come.
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
    const bring = async (signal?: AbortSignal) => {
      using checkpoint = await open();
      return await bringParts(this.#device, placements, checkpoint, { ...options, signal });
    };
    this.#coming.add(name);
    try {
      const brought = await bring(signal); // what is wrong with the file is told now
      const adapter: Adapter = { scale, bytes: bytesOfParts(placements, this.#dtype), bring, brought };
      await this.#change(async () => {
        const adapters = new Map([...this.#adapters, [name, adapter]]);
        try {
          if (this.#here) return await this.#exchange(adapters);
        } catch (error) {
          brought.release();
          throw error;
        }
        this.#adapters = adapters;
        this.#free(this.#takeBrought([adapter]));
      });
    } finally {
      this.#coming.delete(name);
    }
  }

  /**
   * The inputs that a trace needs beside the model's own.
   * @internal
   */
  get inputs(): Record<string, Tensor> {
    return this.#scales ? { [INPUT]: this.#scales } : {};
  }

  /**
   * Traces with the scales among the inputs.
   * @internal
   */
  during<T>(inputs: Record<string, Tensor>, trace: () => T): T {
    const outer = this.#traced;
    this.#traced = inputs[INPUT];
    try {
      return trace();
    } finally {
      this.#traced = outer;
    }
  }

  /**
   * Gives all memory back.
   * @internal
   */
  release(): void {
    const brought = this.#takeBrought(this.#adapters.values());
    this.#adapters = new Map();
    this.#hang(new Map());
    this.#free([...brought, this.#baked]);
  }

  /** Brings those in that are not there, all or none. */
  async #bringAll(signal?: AbortSignal): Promise<void> {
    const came: Adapter[] = [];
    try {
      for (const adapter of this.#adapters.values()) {
        if (adapter.brought) continue;
        adapter.brought = await adapter.bring(signal);
        came.push(adapter);
      }
      if (came.length > 0) await this.#exchange(this.#adapters); // else the traces stay
    } catch (error) {
      this.#free(this.#takeBrought(came));
      throw error;
    }
  }

  /** What of adapters is in memory, which they forget. */
  #takeBrought(adapters: Iterable<Adapter>): BroughtParts[] {
    return [...adapters].flatMap((adapter) => {
      const { brought } = adapter;
      adapter.brought = undefined;
      return brought ? [brought] : [];
    });
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

  /** Other adapters in place of those that there are. */
  async #exchange(adapters: ReadonlyMap<string, Adapter>): Promise<void> {
    const parts = new Map<string, [string, AdapterPart][]>();
    for (const [name, { brought }] of adapters) {
      for (const [layer, part] of brought!.parts) parts.set(layer, [...parts.get(layer) ?? [], [name, part]]);
    }
    const joined = await joinParts(this.#device, parts, this.#joined);
    const gone = [...this.#adapters].filter(([name]) => !adapters.has(name)).map(([, adapter]) => adapter);
    this.#adapters = adapters;
    this.#hang(joined);
    this.#free(this.#takeBrought(gone));
  }

  /** Hangs joined adapters on their layers and takes off those that hang there. */
  #hang(joined: ReadonlyMap<string, Joined>): void {
    this.#retrace();
    for (const layer of this.#joined.keys()) this.#parameter(layer).lowRank = undefined;
    const old = [...this.#joined.values()].filter((one) => ![...joined.values()].includes(one));
    this.#joined = joined;
    let first = 0;
    for (const [layer, { down, up }] of joined) {
      const [from, to] = [first, first += down.shape[0]!];
      const scale = () => (this.#traced ?? this.#scales!).slice(0, from, to);
      this.#parameter(layer).lowRank = { down, up, scale };
    }
    this.#refresh();
    this.#free(old);
  }

  /** Sends the factors of all ranks to the GPU. */
  #refresh(): void {
    const values = [...this.#joined.values()].flatMap((joined) => this.#values(joined));
    const old = this.#scales?.node.storage;
    this.#scales = values.length ? this.#upload(values) : undefined;
    if (old) this.#free([old]);
  }

  /** What the products of each rank are multiplied by. */
  #values({ factors }: Joined): number[] {
    return factors.flatMap(({ name, rank, factor }) =>
      Array<number>(rank).fill(factor * this.#adapters.get(name)!.scale)
    );
  }

  /** Values that no scope owns. */
  #upload(values: readonly number[]): Tensor {
    const bytes = Float32Array.from(values);
    const storage = this.#device.buffers.allocate(INPUT, bytes.byteLength);
    this.#device.gpu.queue.writeBuffer(storage.buffer, 0, bytes);
    const shape = [values.length];
    return new Tensor(
      this.#device,
      new Leaf("f32", values.length, INPUT, storage),
      shape,
      contiguousStrides(shape),
      0,
    );
  }

  /** After the work that is recorded. */
  #free(things: readonly { release(): void }[]): void {
    streamOf(this.#device).afterSubmit(() => things.forEach((thing) => thing.release()));
  }
}

function expectScale(scale: number): void {
  if (Number.isFinite(scale)) return;
  throw new RangeError(`Cannot set an adapter's scale to ${scale}: expected a finite number`);
}
