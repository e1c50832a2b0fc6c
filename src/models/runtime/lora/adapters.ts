import type { DType } from "../../../core/dtype.ts";
import { nearest } from "../../../core/error.ts";
import type { Shape } from "../../../core/shape.ts";
import type { Device } from "../../../gpu/device.ts";
import type { Node } from "../../../graph/node.ts";
import { streamOf } from "../../../graph/run/stream.ts";
import type { Checkpoint } from "../../../io/formats/checkpoint.ts";
import type { Layers, Placed } from "../../../io/lora/match.ts";
import type { UploadProgress } from "../../../io/upload/upload.ts";
import type { Weights } from "../weights.ts";
import { Adapter, shapesOf } from "./adapter.ts";
import { type AdapterScale, LayerNames } from "./adapter_scale.ts";
import type { Applied } from "./merge_groups.ts";
import { Merging } from "./merging.ts";
import { Products } from "./products.ts";
import type { Releasable, Scales } from "./scales.ts";

/** Options of `Adapters.attach`. */
export interface AttachOptions {
  scale: AdapterScale;
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
  /** Layers of whose input an adapter may read other channels than the layer itself does. */
  readonly widens: readonly string[];
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
  readonly #widens: readonly string[];
  #adapters: ReadonlyMap<string, Adapter> = new Map();
  /** Products of all adapters; none while the weights are not in memory. */
  readonly #products: Products;
  readonly #merging: Merging;
  /** Names of adapters that are part of the weights for good, and all that they change there, in order. */
  #baked: { readonly names: readonly string[]; readonly changes: readonly Applied[] } = {
    names: [],
    changes: [],
  };
  /** True while the weights are in memory, and the adapters with them. */
  #loaded = false;
  /** Names of those that are being read. */
  readonly #attaching = new Set<string>();
  /** Made for the first adapter. */
  #layerNames: LayerNames | undefined;
  /** Changes go one after the other. */
  #changed: Promise<unknown> = Promise.resolve();

  /** For a model without adapters so far: its traces take `scales` as an input, and `forget` drops them. */
  constructor(weights: Weights, dtype: DType, { scales, forget, open, widens }: AdaptersParts) {
    this.#device = scales.device;
    this.#products = new Products(weights, scales, forget);
    this.#merging = new Merging({ device: this.#device, weights, open, forget });
    this.#weights = weights;
    this.#dtype = dtype;
    this.#widens = widens;
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
    return this.#products.layers;
  }

  /**
   * Layers and tensors that the file of an adapter may change.
   * @internal
   */
  get targets(): Layers {
    return { products: this.layers, tensors: this.#weights.shapes, widens: this.#widens };
  }

  /** Channels that adapters read of a layer's input, as strong as they may be: the most; 0 where none says otherwise. */
  widthOf(layer: string): number {
    return [...this.#adapters.values()].reduce(
      (most, { widths }) => Math.max(most, widths.get(layer) ?? 0),
      0,
    );
  }

  /**
   * Sets the scales of the named adapters; all others are switched off. Low-rank products have them in the calls from
   * here on; where weights are changed, calls are possible once the promise has resolved.
   */
  set(scales: Readonly<Record<string, AdapterScale>>): Promise<void> {
    for (const name of Object.keys(scales)) this.#find(name);
    const others = [...this.#adapters].filter(([name, { scale }]) => scale !== (scales[name] ?? 0));
    if (others.length === 0 && !this.#merging.isStale) return Promise.resolve();
    const rescalings = others.map(([name, adapter]) => adapter.rescaling(scales[name] ?? 0));
    for (const rescale of rescalings) rescale();
    this.#free(this.#products.send());
    const isMerging = this.#loaded &&
      (this.#merging.isStale || others.some(([, { isMerged }]) => isMerged));
    return isMerging ? this.#change(() => this.#merging.become(this.#applied)) : Promise.resolve();
  }

  /** True if an adapter is merged into weights, so that `set` takes about as long as loading it. */
  isMerged(name: string): boolean {
    return this.#find(name).isMerged;
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
      for (const [name, { widths }] of this.#adapters) {
        const [layer] = widths.keys();
        if (layer === undefined) continue;
        throw new Error(
          `Cannot bake adapter "${name}": it reads other channels than "${layer}" does; leave it as it is`,
        );
      }
      const products = all.flatMap((one) => one.productsAsChanges()); // last, as calls have them
      const changes = [...this.#applied, ...products];
      await this.#merging.become(changes, { before: this.#applied });
      this.#baked = { names: [...this.#baked.names, ...this.#adapters.keys()], changes };
      this.#adapters = new Map();
      this.#free([...this.#products.clear(), ...take(all)]);
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
      this.#merging.forget(new Set(weights));
      await this.#merging.become(this.#applied, { signal });
    });
  }

  /**
   * Throws while weights are being changed.
   * @internal
   */
  expectMerged(model: string): void {
    this.#merging.expectDone(model);
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
      if (this.#loaded) this.#free(this.#products.clear());
      this.#loaded = false;
      this.#merging.forget();
      this.#free(take([...this.#adapters.values()]));
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
    const adapter = new Adapter(this.#device, {
      ...{ name, scale, placed, open, onProgress },
      ...shapesOf(placed, (layer) => this.#weights.tensor(`${layer}.weight`)!.shape, this.#widens),
      dtype: this.#dtype,
      layers: this.#layerNames ??= new LayerNames(this.#weights.tensors.keys()),
    });
    this.#attaching.add(name);
    try {
      await adapter.read(signal); // errors of the file are thrown now
      await this.#change(async () => {
        try {
          await this.#replace(new Map([...this.#adapters, [name, adapter]]));
        } catch (error) {
          this.#free(take([adapter]));
          throw error;
        }
        if (!this.#loaded) this.#free(take([adapter]));
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
    this.#free([...this.#products.clear(), ...take(gone)]);
    this.#changed.then(() => this.#free(take(gone))); // those that were being read
  }

  /** Reads those that are not in memory, all or none. */
  async #readAll(signal?: AbortSignal): Promise<void> {
    const absent = [...this.#adapters.values()].filter(({ matrices }) => !matrices);
    try {
      for (const adapter of absent) await adapter.read(signal);
      if (absent.length > 0) this.#free(await this.#products.become(this.#adapters)); // else the traces stay
    } catch (error) {
      this.#free(take(absent));
      throw error;
    }
  }

  /** Takes other adapters in place of those that there are. */
  async #replace(adapters: ReadonlyMap<string, Adapter>): Promise<void> {
    const gone = [...this.#adapters].filter(([name]) => !adapters.has(name)).map(([, adapter]) => adapter);
    if (this.#loaded) {
      await this.#merging.become(this.#changesOf(adapters.values()), { before: this.#applied });
      try {
        this.#free(await this.#products.become(adapters));
      } catch (error) {
        await this.#merging.become(this.#applied);
        throw error;
      }
    }
    this.#adapters = adapters;
    this.#free(take(gone));
  }

  /** All that its adapters change in weights now. */
  get #applied(): Applied[] {
    return this.#changesOf(this.#adapters.values());
  }

  /** All that adapters change in weights, those that were baked among them. */
  #changesOf(adapters: Iterable<Adapter>): Applied[] {
    return [...this.#baked.changes, ...[...adapters].flatMap((one) => one.changes())];
  }

  /** After the work that is recorded. */
  #free(things: readonly Releasable[]): void {
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
}

/** Takes from adapters their matrices in memory. */
function take(adapters: readonly Adapter[]): Releasable[] {
  return adapters.flatMap((one) => one.take());
}
