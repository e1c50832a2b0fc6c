import { bytesOf, isPacked } from "../../core/dtype.ts";
import { alignUp, Storage } from "../../gpu/memory/buffers.ts";
import type { Device } from "../../gpu/device.ts";
import type { Leaf } from "../../graph/node.ts";
import type { Checkpoint, TensorInfo } from "../formats/checkpoint.ts";
import { Converter, type TensorSource } from "./converter.ts";
import { NOT_FINITE, TOO_LARGE } from "./host_convert.ts";

/** A stored tensor, and the leaf that gets its values. */
export interface Filling {
  readonly info: TensorInfo;
  readonly leaf: Leaf;
}

/** Progress of an upload. */
export interface UploadProgress {
  /** Bytes so far, as the checkpoint has them. */
  readonly loaded: number;
  /** Bytes of all tensors that are read. */
  readonly total: number;
}

const SLAB = 256 << 20; // bytes of a buffer that weights share
const STORAGE = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;

/** The result of an upload. */
export interface Uploaded {
  /** Frees the weights. */
  readonly release: () => void;
  /** Names of tensors that hold NaN or infinity. */
  readonly notFinite: readonly string[];
  /** The relative error of each packed tensor: root mean square of the error, divided by that of the values. */
  readonly errors: ReadonlyMap<string, number>;
}

/** Options of `upload`. */
export interface UploadOptions {
  /** The model or LoRA, as errors and memory lists call it. */
  readonly label: string;
  readonly signal?: AbortSignal | undefined;
  readonly onProgress?: ((progress: UploadProgress) => void) | undefined;
}

/**
 * Loads tensors of a checkpoint into GPU memory in the types of their leaves, 4-D ones channels-last. The
 * host has a few pieces in memory at a time, never a file.
 */
export async function upload(
  device: Device,
  checkpoint: Checkpoint,
  fillings: readonly Filling[],
  { label, signal, onProgress }: UploadOptions,
): Promise<Uploaded> {
  const slabs: GPUBuffer[] = [];
  const release = () => {
    for (const slab of slabs) device.buffers.destroy(slab);
    for (const { leaf } of fillings) leaf.storage?.release();
    device.gpu.queue.submit([]); // freed memory returns at a submit
  };
  try {
    allocate(device, label, fillings.map(({ leaf }) => leaf), slabs);
    return { release, ...await refill(device, checkpoint, fillings, { label, signal, onProgress }) };
  } catch (error) {
    release();
    throw error;
  }
}

/** The same for leaves that have their places in memory: their values are replaced. */
export async function refill(
  device: Device,
  checkpoint: TensorSource,
  fillings: readonly Filling[],
  { label, signal, onProgress }: UploadOptions,
): Promise<Omit<Uploaded, "release">> {
  using working = new DisposableStack();
  const total = fillings.reduce((sum, { info }) => sum + info.bytes, 0);
  const bytes = fillings.reduce((sum, { info, leaf }) => sum + Math.max(info.bytes, 4 * leaf.count), 0);
  const converter = new Converter(device, label, { tensors: fillings.length, bytes });
  working.defer(() => converter.release());
  let loaded = 0;
  for (const [number, { info, leaf }] of fillings.entries()) {
    const onBytes = (bytes: number) => onProgress?.({ loaded: loaded += bytes, total });
    await converter.send(checkpoint, info, leaf, { number, signal, onBytes });
  }
  await converter.flush();
  const notes = await converter.notes();
  const named = (flag: number) =>
    fillings.filter((_, i) => notes[i]!.flags & flag).map(({ info }) => info.name);
  expectNoOverflow(label, named(TOO_LARGE));
  const packed = fillings.flatMap(({ info, leaf }, i): [string, number][] =>
    isPacked(leaf.dtype) ? [[info.name, notes[i]!.error]] : []
  );
  return { notFinite: named(NOT_FINITE), errors: new Map(packed) };
}

/** Throws where tensors have values beyond the range of f16. */
export function expectNoOverflow(label: string, names: readonly string[]): void {
  if (names.length === 0) return;
  throw new RangeError(
    `Cannot load ${label} as f16: ${names.length} tensors hold values beyond 65504, ` +
      `e.g. "${names[0]}"; load it as f32`,
  );
}

/** Gives every leaf a place in one of a few buffers, which are added to `slabs`. */
function allocate(device: Device, label: string, leaves: readonly Leaf[], slabs: GPUBuffer[]): void {
  const { maxStorageBufferBindingSize: binding, maxBufferSize, minStorageBufferOffsetAlignment } =
    device.limits;
  const most = Math.min(SLAB, maxBufferSize);
  const align = Math.max(16, minStorageBufferOffsetAlignment);
  const bytes = (leaf: Leaf) => leaf.count * bytesOf(leaf.dtype);
  const groups: { size: number; places: [Leaf, number][] }[] = [];
  for (const leaf of leaves) {
    if (bytes(leaf) > binding) {
      throw new RangeError(
        `Cannot load "${leaf.label}": expected at most ${binding} bytes in one tensor on ${device.adapterName}, ` +
          `got ${bytes(leaf)}`,
      );
    }
    let group = groups.at(-1);
    if (!group || group.size + bytes(leaf) > most) groups.push(group = { size: 0, places: [] });
    group.places.push([leaf, group.size]);
    group.size += alignUp(Math.max(16, bytes(leaf)), align);
  }
  for (const [i, { size, places }] of groups.entries()) {
    const slab = device.buffers.create(`${label} weights ${i}`, size, STORAGE);
    slabs.push(slab);
    for (const [leaf, offset] of places) leaf.storage = new Storage(slab, offset, bytes(leaf));
  }
}
