import convert from "../../shaders/convert.wgsl" with { type: "text" };
import grid from "../../shaders/lib/grid.wgsl" with { type: "text" };
import { bytesOf } from "../core/dtype.ts";
import { alignUp, Storage } from "../gpu/buffers.ts";
import type { Device } from "../gpu/device.ts";
import type { PipelineSpec } from "../gpu/pipelines.ts";
import { foldGrid } from "../graph/encoding.ts";
import type { Leaf } from "../graph/node.ts";
import { packParams } from "../graph/uniform.ts";
import type { Checkpoint, TensorInfo } from "./checkpoint.ts";

/** A stored tensor and the leaf that it fills. */
export interface Filling {
  readonly info: TensorInfo;
  readonly leaf: Leaf;
}

/** How much of an upload is done. */
export interface UploadProgress {
  /** Bytes on their way or there, as they lie in the checkpoint. */
  readonly loaded: number;
  /** Bytes of all tensors that the model reads. */
  readonly total: number;
}

const PIECE = 8 << 20; // bytes read, sent and converted at once
const SLAB = 256 << 20; // weights share buffers of about this size
const UNWAITED = 4; // pieces on their way at once: a bound on host memory
const KINDS: Record<string, number> = { F32: 0, F16: 1, BF16: 2 };
const STORAGE = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
const LARGEST = { f32: 3.4028234663852886e38, f16: 65504, i32: 0, u32: 0 };

/**
 * Streams tensors of a checkpoint into GPU memory as their leaves' dtype, 4-D ones channels-last. The host holds a few
 * pieces at a time, never a file. Returns what frees the memory, and the names of tensors that hold NaN or infinity.
 */
export async function upload(
  device: Device,
  checkpoint: Checkpoint,
  fillings: readonly Filling[],
  { label, signal, onProgress }: {
    label: string;
    signal?: AbortSignal;
    onProgress?: (p: UploadProgress) => void;
  },
): Promise<{ release: () => void; notFinite: string[] }> {
  const slabs = allocate(device, label, fillings.map(({ leaf }) => leaf));
  const release = () => {
    for (const slab of slabs) device.buffers.destroy(slab);
    for (const { leaf } of fillings) leaf.storage?.release();
    device.gpu.queue.submit([]); // freed memory returns at a submit
  };
  const converter = new Converter(device, label, fillings.length);
  try {
    const total = fillings.reduce((sum, { info }) => sum + info.bytes, 0);
    let loaded = 0;
    for (const [number, { info, leaf }] of fillings.entries()) {
      for (const [first, count] of pieces(info)) {
        signal?.throwIfAborted();
        const bytes = await checkpoint.read(info, first, count);
        await converter.run(bytes, info, leaf, { number, first, count });
        loaded += bytes.length;
        onProgress?.({ loaded, total });
      }
    }
    const flags = await converter.flags();
    const named = (bit: number) => fillings.filter((_, i) => flags[i] & bit).map(({ info }) => info.name);
    const overflow = named(2);
    if (overflow.length > 0) {
      throw new RangeError(
        `Cannot load ${label} as f16: ${overflow.length} tensors hold values beyond 65504, ` +
          `e.g. "${overflow[0]}"; load it as f32`,
      );
    }
    return { release, notFinite: named(1) };
  } catch (error) {
    release();
    throw error;
  } finally {
    converter.release();
  }
}

/** Pieces [first element, count] of a tensor; those of a convolution are whole output channels. */
function* pieces({ shape, bytes }: TensorInfo): Generator<[number, number]> {
  const count = shape.reduce((product, n) => product * n, 1);
  if (count === 0) return;
  const row = shape.length === 4 ? count / shape[0] : 2; // an even number keeps pieces of f16 on whole words
  const most = Math.max(row, Math.floor(PIECE / (bytes / count) / row) * row);
  for (let first = 0; first < count; first += most) yield [first, Math.min(most, count - first)];
}

/** Gives every leaf a place in as few buffers as the adapter's limits allow. */
function allocate(device: Device, label: string, leaves: readonly Leaf[]): GPUBuffer[] {
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
  return groups.map(({ size, places }, i) => {
    const slab = device.buffers.create(`${label} weights ${i}`, size, STORAGE);
    for (const [leaf, offset] of places) leaf.storage = new Storage(slab, offset, bytes(leaf));
    return slab;
  });
}

/** Runs convert.wgsl piece by piece. */
class Converter {
  readonly #device: Device;
  readonly #label: string;
  readonly #staging: GPUBuffer;
  readonly #flags: GPUBuffer;
  readonly #uniform: GPUBuffer;
  #unwaited = 0;

  constructor(device: Device, label: string, tensors: number) {
    this.#device = device;
    this.#label = label;
    this.#staging = device.buffers.create("upload staging", PIECE, STORAGE);
    this.#flags = device.buffers.create("upload flags", tensors * 4, STORAGE);
    this.#uniform = device.buffers.create(
      "upload uniform",
      32,
      GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    );
  }

  async run(
    bytes: Uint8Array<ArrayBuffer>,
    info: TensorInfo,
    leaf: Leaf,
    { number, first, count }: { number: number; first: number; count: number },
  ): Promise<void> {
    const { gpu, pipelines, limits } = this.#device;
    const spec = pipelineOf(leaf.dtype);
    const pipeline = pipelines.get(spec);
    await pipeline.ready;
    const [, inputs, ...kernel] = info.shape.length === 4 ? info.shape : [0, 1, 1];
    const params = packParams("convert", convert, {
      count,
      first,
      kind: KINDS[info.dtype] ?? 0,
      inputs,
      taps: kernel.reduce((product, n) => product * n, 1),
      tensor: number,
      largest: LARGEST[leaf.dtype],
    });
    const words = asWords(bytes, info, count);
    const staging = words.length > this.#staging.size ? this.#large(words.length) : this.#staging;
    gpu.queue.writeBuffer(staging, 0, words);
    gpu.queue.writeBuffer(this.#uniform, 0, params);
    const { buffer, offset, bytes: size } = leaf.storage!;
    const group = gpu.createBindGroup({
      label: this.#label,
      layout: pipeline.layout,
      entries: [
        { binding: 0, resource: { buffer: staging } },
        { binding: 1, resource: { buffer, offset, size: Math.max(16, alignUp(size, 16)) } },
        { binding: 2, resource: { buffer: this.#flags } },
        { binding: 3, resource: { buffer: this.#uniform, offset: 0, size: params.length } },
      ],
    });
    const encoder = gpu.createCommandEncoder({ label: "upload" });
    const pass = encoder.beginComputePass({ label: "upload" });
    pass.setPipeline(pipeline.gpu!);
    pass.setBindGroup(0, group, [0]);
    pass.dispatchWorkgroups(...foldGrid(Math.ceil(count / 64), limits.maxComputeWorkgroupsPerDimension));
    pass.end();
    gpu.queue.submit([encoder.finish()]);
    if (staging !== this.#staging) this.#device.buffers.destroy(staging);
    if (++this.#unwaited % UNWAITED === 0) await this.#device.idle();
  }

  /** One row of a convolution may be larger than a piece. */
  #large(bytes: number): GPUBuffer {
    return this.#device.buffers.create("upload staging", bytes, STORAGE);
  }

  async flags(): Promise<Uint32Array> {
    return new Uint32Array(await this.#device.read(this.#flags, 0, this.#flags.size));
  }

  release(): void {
    for (const buffer of [this.#staging, this.#flags, this.#uniform]) this.#device.buffers.destroy(buffer);
  }
}

function pipelineOf(dtype: string): PipelineSpec {
  const text = convert.replace("alias W = f32;", `alias W = ${dtype};`);
  return {
    key: `convert|${dtype}`,
    label: "convert",
    bindings: ["read", "write", "write", "uniform"],
    source: () => [
      { name: "enables (generated)", text: dtype === "f16" ? "enable f16;" : "" },
      { name: "shaders/lib/grid.wgsl", text: grid },
      { name: "shaders/convert.wgsl", text },
    ],
  };
}

/** The bytes as whole words for the shader; types that it does not know become F32 on the host. */
function asWords(
  bytes: Uint8Array<ArrayBuffer>,
  { name, dtype }: TensorInfo,
  count: number,
): Uint8Array<ArrayBuffer> {
  if (dtype in KINDS) {
    if (bytes.length % 4 === 0) return bytes;
    const padded = new Uint8Array(alignUp(bytes.length, 4));
    padded.set(bytes);
    return padded;
  }
  return new Uint8Array(Float32Array.from(hostNumbers(bytes, dtype, count, name)).buffer);
}

function hostNumbers(
  { buffer }: Uint8Array<ArrayBuffer>,
  dtype: string,
  count: number,
  name: string,
): Iterable<number> {
  switch (dtype) {
    case "F64":
      return new Float64Array(buffer, 0, count);
    case "I64":
      return Array.from(new BigInt64Array(buffer, 0, count), Number);
    case "I32":
      return new Int32Array(buffer, 0, count);
    case "U8":
    case "BOOL":
      return new Uint8Array(buffer, 0, count);
    case "I8":
      return new Int8Array(buffer, 0, count);
  }
  throw new TypeError(`Cannot load "${name}": expected a weight in F32, F16, BF16 or F64, got ${dtype}`);
}
