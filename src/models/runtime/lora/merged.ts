import { isPacked } from "../../../core/dtype.ts";
import { contiguousStrides, type Shape, size, usualStrides } from "../../../core/shape.ts";
import type { Device } from "../../../gpu/device.ts";
import { Leaf } from "../../../graph/node.ts";
import { streamOf } from "../../../graph/run/stream.ts";
import type { Checkpoint, TensorInfo } from "../../../io/formats/checkpoint.ts";
import type { LoraChange, Role } from "../../../io/lora/changes.ts";
import type { ChangePlacement } from "../../../io/lora/match.ts";
import { type Filling, refill, upload, type UploadOptions } from "../../../io/upload/upload.ts";
import { cat, Scope, Tensor, tensor } from "../../../tensor/mod.ts";
import { expectUnchanged } from "../model_source.ts";
import type { Weights } from "../weights.ts";
import { changedWeight, type ChangeTensors } from "./changed_weight.ts";
import { FloatSource } from "./float_source.ts";
import { type Applied, batches, type Group, groupsOf, isSame, keysOf } from "./merge_groups.ts";
import { rotationsOf } from "./rotations.ts";

/**
 * The changes of adapters in the memory of a model's weights. The weights as they were are read again from the model's
 * file whenever changes come, go or become stronger: so nothing is kept twice, roundings do not add up, and a weight
 * without changes is what it was, to the bit.
 */
export class MergedWeights {
  readonly #device: Device;
  readonly #weights: Weights;
  readonly #open: () => Promise<Checkpoint>;
  readonly #options: UploadOptions;
  /** The changes that weights in memory have. */
  readonly #changes = new Map<string, readonly Applied[]>();

  /** For weights without changes; `open` opens their files. */
  constructor(device: Device, weights: Weights, open: () => Promise<Checkpoint>) {
    this.#device = device;
    this.#weights = weights;
    this.#open = open;
    this.#options = { label: "the weights that adapters change" };
  }

  /** Notes weights that were loaded as their file has them, or all that were freed. */
  forget(loaded?: ReadonlySet<unknown>): void {
    for (const key of this.#changes.keys()) {
      if (!loaded || loaded.has(this.#weights.filling(key)?.leaf)) this.#changes.delete(key);
    }
  }

  /** Gives all weights in memory these changes and no others, in this order. `begin` is called if any of them changes. */
  async become(applied: readonly Applied[], begin: () => void, signal?: AbortSignal): Promise<void> {
    const wanted = new Map<string, Applied[]>();
    for (const one of applied) {
      for (const key of keysOf(one)) wanted.set(key, [...wanted.get(key) ?? [], one]);
    }
    for (const [key] of wanted) this.#expectMergeable(key);
    const stale = [...new Set([...this.#changes.keys(), ...wanted.keys()])].filter((key) =>
      this.#isInMemory(key) && !isSame(this.#changes.get(key) ?? [], wanted.get(key) ?? [])
    );
    if (stale.length === 0) return;
    begin();
    using opened = new DisposableStack();
    const checkpoint = opened.use(await this.#open());
    const files = new Map<unknown, Checkpoint>();
    for (const { open } of applied) if (!files.has(open)) files.set(open, opened.use(await open()));
    const groups = groupsOf(stale, wanted, applied);
    await this.#restore(groups.filter(({ applied }) => applied.length === 0), checkpoint, signal);
    const changed = groups.filter(({ applied }) => applied.length > 0);
    for (const batch of batches(changed, (key) => 4 * this.#leaf(key).count)) {
      signal?.throwIfAborted();
      await this.#change(batch, checkpoint, (open) => files.get(open)!);
    }
  }

  async #restore(groups: readonly Group[], checkpoint: Checkpoint, signal?: AbortSignal): Promise<void> {
    const keys = groups.flatMap(({ keys }) => keys).filter((key) => this.#isInMemory(key));
    if (keys.length === 0) return;
    const fillings = keys.map((key) => this.#filling(key));
    for (const { info } of fillings) expectUnchanged(checkpoint, info, "the model's file");
    await refill(this.#device, checkpoint, fillings, { ...this.#options, signal });
    keys.forEach((key) => this.#changes.delete(key));
  }

  /** Computes weights of their values in the file, and puts them in their places. */
  async #change(
    groups: readonly Group[],
    checkpoint: Checkpoint,
    fileOf: (open: Applied["open"]) => Checkpoint,
  ): Promise<void> {
    using uploaded = new DisposableStack();
    const own = new Leaves(this.#device);
    const originals = groups.flatMap(({ keys }) => keys).map((key) => {
      const { info } = this.#filling(key);
      expectUnchanged(checkpoint, info, "the model's file");
      return [key, own.tensor(info)] as const;
    });
    const adapters = new Map<Checkpoint, Leaves>();
    for (const { placement: { change }, open } of groups.flatMap(({ applied }) => applied)) {
      const file = fileOf(open);
      if (!adapters.has(file)) adapters.set(file, new Leaves(this.#device));
      for (const info of infosOf(change)) {
        expectUnchanged(file, info, "the adapter's file");
        adapters.get(file)!.tensor(info);
      }
    }
    for (const [file, leaves] of [[checkpoint, own] as const, ...adapters]) {
      const { release } = await upload(this.#device, file, leaves.fillings, this.#options);
      uploaded.defer(release);
    }
    const rotations = new Map<Applied, Tensor>();
    uploaded.defer(() => rotations.forEach(({ node }) => node.storage?.release()));
    for (const one of groups.flatMap(({ applied }) => applied)) {
      const { placement: { change }, scale, open } = one;
      if (change.kind !== "OFT" && change.kind !== "BOFT") continue;
      const [{ shape }] = originals.filter(([key]) => key === keysOf(one)[0]).map(([, x]) => x) as [Tensor];
      const { values, shape: own } = await rotationsOf(change, fileOf(open), size(shape.slice(1)), scale);
      rotations.set(one, tensor(values, own));
    }
    const reading = ({ open }: Applied) => (info: TensorInfo) => adapters.get(fileOf(open))!.tensor(info);
    await this.#put(this.#compute(new Map(originals), groups, reading, rotations));
    for (const { applied, keys } of groups) {
      for (const key of keys) {
        if (this.#isInMemory(key)) this.#changes.set(key, applied.filter((one) => keysOf(one).includes(key)));
      }
    }
  }

  /** Records what becomes of weights; returns those that are in memory, dense and as their type. */
  #compute(
    weights: Map<string, Tensor>,
    groups: readonly Group[],
    reading: (one: Applied) => (info: TensorInfo) => Tensor,
    rotations: ReadonlyMap<Applied, Tensor>,
  ): { leaf: Leaf; info: TensorInfo; value: Tensor }[] {
    using made = new Scope(streamOf(this.#device), []);
    for (const { applied } of groups) {
      for (const one of applied) apply(weights, one, reading(one), rotations.get(one));
    }
    return [...weights].filter(([key]) => this.#isInMemory(key)).map(([key, changed]) => {
      const { leaf, info } = this.#filling(key);
      const { shape } = changed;
      const value = isPacked(leaf.dtype)
        ? changed.contiguous(contiguousStrides(shape))
        : changed.cast(leaf.dtype).contiguous(usualStrides(shape));
      return { leaf, info, value: made.keep(value) };
    });
  }

  /** Puts values into the memory of their weights. */
  async #put(values: readonly { leaf: Leaf; info: TensorInfo; value: Tensor }[]): Promise<void> {
    await streamOf(this.#device).flush();
    const encoder = this.#device.gpu.createCommandEncoder({ label: "merging adapters" });
    for (const { leaf, value } of values) {
      if (isPacked(leaf.dtype)) continue;
      const [from, to] = [value.node.storage!, leaf.storage!];
      const bytes = Math.ceil(Math.min(from.bytes, to.bytes) / 4) * 4;
      encoder.copyBufferToBuffer(from.buffer, from.offset, to.buffer, to.offset, bytes);
    }
    this.#device.submit(encoder, "merging adapters");
    for (const { leaf, info, value } of values) {
      if (isPacked(leaf.dtype)) {
        const source = new FloatSource(await value.data() as Float32Array);
        const made = { ...info, dtype: "F32" as const, bytes: 4 * leaf.count };
        await refill(this.#device, source, [{ info: made, leaf }], this.#options);
      }
      value.node.storage!.release();
    }
  }

  #filling(key: string): Filling {
    return this.#weights.filling(key)!;
  }

  #leaf(key: string): Leaf {
    return this.#filling(key).leaf;
  }

  #isInMemory(key: string): boolean {
    const { storage } = this.#leaf(key);
    return storage !== undefined && !storage.released;
  }

  #expectMergeable(key: string): void {
    if (!this.#leaf(key).pager) return;
    throw new Error(
      `Cannot merge an adapter into "${key}": expected a weight in memory, got one that is streamed from the ` +
        "disk; load the model whole or in parts",
    );
  }
}

/** Throws where a change's tensors hold NaN or infinity. */
export async function expectFinite(
  device: Device,
  placements: readonly ChangePlacement[],
  checkpoint: Checkpoint,
  options: UploadOptions,
): Promise<void> {
  const leaves = new Leaves(device);
  for (const { change } of placements) for (const info of infosOf(change)) leaves.tensor(info);
  const { release, notFinite: [first, ...others] } = await upload(
    device,
    checkpoint,
    leaves.fillings,
    options,
  );
  release();
  if (first === undefined) return;
  throw new RangeError(
    `Cannot load ${options.label}: ${1 + others.length} tensors hold NaN or infinity, e.g. "${first}"; its ` +
      "training failed",
  );
}

/** Leaves in f32 for tensors of a file. */
class Leaves {
  readonly #made = new Map<TensorInfo, Tensor>();

  constructor(readonly device: Device) {}

  tensor(info: TensorInfo): Tensor {
    const known = this.#made.get(info);
    if (known) return known;
    const leaf = new Leaf("f32", size(info.shape), info.name);
    const made = new Tensor(this.device, leaf, info.shape, usualStrides(info.shape), 0);
    this.#made.set(info, made);
    return made;
  }

  get fillings(): Filling[] {
    return [...this.#made].map(([info, { node }]) => ({ info, leaf: node as Leaf }));
  }
}

/** Applies one change to the weights of its layers as they are now. */
function apply(
  now: Map<string, Tensor>,
  one: Applied,
  read: (info: TensorInfo) => Tensor,
  rotations: Tensor | undefined,
): void {
  const { placement: { change, layers }, scale } = one;
  const roles = Object.entries(change.tensors).filter(([role, info]) => info && role !== "alpha");
  const tensors: ChangeTensors = {
    ...Object.fromEntries(roles.map(([role, info]) => [role as Role, read(info!)])),
    ...rotations && { rotations },
  };
  const keys = keysOf(one);
  const shapes = keys.map((key): Shape => now.get(key)!.shape);
  const parts = keys.map((key, i) => {
    const rows = now.get(key)!.reshape([shapes[i]![0]!, -1]);
    return layers[i]!.swapped ? swapHalves(rows) : rows;
  });
  const whole = parts.length === 1 ? parts[0]! : cat(parts);
  const changed = changedWeight(whole, change, tensors, scale);
  let first = 0;
  for (const [i, key] of keys.entries()) {
    const rows = changed.slice(0, first, first += shapes[i]![0]!);
    now.set(key, (layers[i]!.swapped ? swapHalves(rows) : rows).reshape(shapes[i]!));
  }
}

function swapHalves(rows: Tensor): Tensor {
  return cat(rows.chunk(2).toReversed());
}

function infosOf({ tensors }: LoraChange): TensorInfo[] {
  return Object.entries(tensors).flatMap(([role, info]) => info && role !== "alpha" ? [info] : []);
}
