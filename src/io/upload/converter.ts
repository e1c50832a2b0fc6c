import { bytesOf, type DType, isPacked, PACKED_BLOCK } from "../../core/dtype.ts";
import { alignUp } from "../../gpu/buffers.ts";
import type { Device } from "../../gpu/device.ts";
import type { Pipeline } from "../../gpu/pipelines.ts";
import { type Room, Staging } from "../../gpu/staging.ts";
import { foldGrid } from "../../gpu/grid.ts";
import type { Leaf } from "../../graph/node.ts";
import type { Checkpoint, TensorInfo } from "../formats/checkpoint.ts";
import { type Conversion, conversionOf } from "./conversion.ts";
import { checkOnHost, convertOnHost, type HostDType, isHostDType, type Order } from "./host_convert.ts";
import { isNumeric, toFloats } from "../formats/numbers.ts";
import { PIECE, pieces } from "./pieces.ts";
import { bytesFor, type CheckpointDType } from "../formats/stored_dtype.ts";

const SHARES = 16; // of the weights that are sent at once, at least: a small model is not to take much more while it loads
const HEAD = 256; // bytes of a piece's params in front of it
const STORAGE = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;

/** Where a tensor goes: a leaf, or a place for its values. */
export type Target = Pick<Leaf, "dtype" | "count" | "storage">;

/** What was found in a tensor. */
export interface Note {
  /** Bit 0: a value is NaN or infinite; bit 1: one is beyond the largest of the leaf's type. */
  readonly flags: number;
  /** Of a packed tensor: root of the mean squared error over that of the values. */
  readonly error: number;
}

/** A tensor on its way. */
interface Freight {
  readonly checkpoint: Checkpoint;
  readonly info: TensorInfo;
  readonly leaf: Target;
  /** Among those of the converter. */
  readonly number: number;
  readonly order: Order;
}

/** How a tensor's pieces come to the GPU. */
interface Way {
  /** Bytes that an element takes on it. */
  readonly width: number;
  send(first: number, count: number): Promise<void>;
  /** Runs after the last piece. */
  end?(): Promise<void>;
}

/**
 * Brings tensors of checkpoints to leaves, whose type they take. Files are read into memory that is sent as it is. Where
 * their type is the leaf's, it goes straight to its place; else convert/convert.wgsl, or convert/quantize.wgsl for packed leaves, does the
 * rest on the GPU, or the host, where the adapter is a CPU, beforehand.
 */
export class Converter {
  readonly #device: Device;
  readonly #staging: Staging;
  readonly #notes: GPUBuffer;
  /** Found by the host, by tensor. */
  readonly #flags: Uint32Array;
  /** What the host converts. */
  #scratch = new Uint8Array();

  /** For so many tensors of a model, of which at most so many bytes are on their way at once. */
  constructor(device: Device, label: string, { tensors, bytes }: { tensors: number; bytes: number }) {
    this.#device = device;
    const all = bytes + (1 + tensors) * HEAD;
    const size = Math.min(PIECE + (PIECE >> 4), Math.ceil(all / SHARES)); // small ones go together
    this.#staging = new Staging(device, `sending the weights of ${label}`, size);
    this.#notes = device.buffers.create("upload notes", tensors * 12, STORAGE);
    this.#flags = new Uint32Array(tensors);
  }

  /** Reads one tensor, as the one of such a number, piece by piece. Its commands follow at the next flush. */
  async send(
    checkpoint: Checkpoint,
    info: TensorInfo,
    leaf: Target,
    { number, signal, onBytes }: {
      number: number;
      signal?: AbortSignal | undefined;
      onBytes?: ((bytes: number) => void) | undefined;
    },
  ): Promise<void> {
    if (leaf.count === 0) return;
    const [, inputs, ...kernel] = info.shape.length === 4 ? info.shape : [0, 1, 1];
    const order = { inputs: inputs!, taps: kernel.reduce((product, n) => product * n, 1) };
    const way = await this.#wayOf({ checkpoint, info, leaf, number, order });
    for (const [first, count] of pieces(info, leaf.dtype, order, way.width)) {
      signal?.throwIfAborted();
      await way.send(first, count);
      onBytes?.(bytesFor(info.dtype, count));
    }
    await way.end?.();
  }

  /** Hands what was read to the GPU. */
  flush(): void {
    this.#staging.flush();
  }

  async #wayOf(freight: Freight): Promise<Way> {
    const { checkpoint, info, leaf, order } = freight;
    const scale = await checkpoint.scaleOf(info);
    if (scale || isPacked(leaf.dtype)) return this.#byShader(freight, scale);
    const isSame = order.taps === 1 && SAME[info.dtype] === leaf.dtype;
    if (!this.#device.traits.software) return isSame ? this.#asItIs(freight) : this.#byShader(freight);
    const { dtype } = info;
    return isHostDType(dtype) ? this.#byHost(freight, dtype, isSame) : this.#byShader(freight);
  }

  /** The GPU copies, then looks through the whole. */
  #asItIs(freight: Freight): Way {
    const { info, leaf, number, order } = freight;
    const { dtype, count } = leaf;
    const end = async () => {
      const conversion = conversionOf(info.dtype, dtype, true);
      const pipeline = await this.#ready(conversion);
      const params = conversion.params({ count, first: 0, ...order, tensor: number, scaled: 0 });
      const room = await this.#staging.room(HEAD);
      room.bytes.set(params);
      this.#dispatch(pipeline, count, room, params.length, (landing) => [
        memoryOf(leaf),
        { buffer: landing, offset: room.offset, size: HEAD }, // there are no scales, and anything is bound
        { buffer: this.#notes },
      ]);
    };
    return {
      width: bytesOf(dtype),
      send: async (first, count) => void await this.#place(freight, first, count),
      end,
    };
  }

  /** The host looks and converts, then the GPU copies. */
  #byHost(freight: Freight, from: HostDType, isSame: boolean): Way {
    const { checkpoint, info, number, order } = freight;
    const to = freight.leaf.dtype as "f32" | "f16";
    const [read, written] = [bytesFor(from, 1), bytesOf(to)];
    const send = async (first: number, count: number) => {
      if (isSame) {
        this.#flags[number]! |= checkOnHost(await this.#place(freight, first, count), from, to);
        return;
      }
      if (this.#scratch.length < count * read) this.#scratch = new Uint8Array(count * read);
      const source = this.#scratch.subarray(0, count * read);
      await checkpoint.fill(info, first, source);
      this.#flags[number]! |= checkOnHost(source, from, to);
      await this.#place(freight, first, count, (target) => convertOnHost(source, from, target, to, order));
    };
    return { width: Math.max(read, written), send };
  }

  /** Writes a piece, by default as its file has it, where it is sent to its place; returns where it was written. */
  async #place(
    { checkpoint, info, leaf }: Freight,
    first: number,
    count: number,
    write: (target: Uint8Array<ArrayBuffer>) => void | Promise<void> = (target) =>
      checkpoint.fill(info, first, target),
  ): Promise<Uint8Array<ArrayBuffer>> {
    const width = bytesOf(leaf.dtype);
    const room = await this.#staging.room(alignUp(count * width, 4));
    const target = room.bytes.subarray(0, count * width);
    await write(target);
    const { buffer, offset } = leaf.storage!;
    this.#staging.copy(room, buffer, offset + first * width);
    return target;
  }

  /** The GPU looks and converts: a piece lies behind its params and the scales of its tensor. */
  #byShader({ checkpoint, info, leaf, number, order }: Freight, scale?: Float32Array<ArrayBuffer>): Way {
    const conversion = conversionOf(info.dtype, leaf.dtype);
    const { width, isForeign } = conversion;
    const [scales, begin] = scale ? [HEAD, HEAD + alignUp(scale.byteLength, HEAD)] : [0, HEAD];
    const scaled = scale ? leaf.count / scale.length : 0;
    const send = async (first: number, count: number) => {
      const pipeline = await this.#ready(conversion);
      const length = alignUp(count * width, 4);
      const room = await this.#staging.room(begin + length);
      const params = conversion.params({ count, first, ...order, tensor: number, scaled });
      room.bytes.set(params);
      if (scale) room.bytes.set(new Uint8Array(scale.buffer), scales);
      if (isForeign) room.bytes.set(asFloats(await checkpoint.read(info, first, count), info), begin);
      else await checkpoint.fill(info, first, room.bytes.subarray(begin, begin + count * width));
      const invocations = isPacked(leaf.dtype) ? count / PACKED_BLOCK : count;
      this.#dispatch(pipeline, invocations, room, params.length, (landing) => [
        { buffer: landing, offset: room.offset + begin, size: length },
        { buffer: landing, offset: room.offset + scales, size: begin - scales },
        { buffer: this.#notes },
        memoryOf(leaf),
      ]);
    };
    return { width, send };
  }

  async #ready({ spec }: Conversion): Promise<Pipeline> {
    const pipeline = this.#device.pipelines.get(spec);
    await pipeline.ready;
    return pipeline;
  }

  /** A kernel over a room that begins with its params; the bindings in front of these are given. */
  #dispatch(
    { gpu: pipeline, layout }: Pipeline,
    invocations: number,
    { offset }: Room,
    params: number,
    bindings: (landing: GPUBuffer) => GPUBufferBinding[],
  ): void {
    const { gpu, limits } = this.#device;
    const grid = foldGrid(Math.ceil(invocations / 64), limits.maxComputeWorkgroupsPerDimension);
    this.#staging.dispatch((pass, landing) => {
      const all = [...bindings(landing), { buffer: landing, offset, size: params }];
      const entries = all.map((resource, binding) => ({ binding, resource }));
      pass.setPipeline(pipeline!);
      pass.setBindGroup(0, gpu.createBindGroup({ layout, entries }));
      pass.dispatchWorkgroups(...grid);
    });
  }

  /** What was found, by tensor. */
  async notes(): Promise<Note[]> {
    const words = await this.#device.read(this.#notes, 0, this.#notes.size);
    const [flags, sums] = [new Uint32Array(words), new Float32Array(words)];
    return Array.from(this.#flags, (found, i) => ({
      flags: found | flags[3 * i]!,
      error: Math.sqrt(sums[3 * i + 1]! / (sums[3 * i + 2] || 1)),
    }));
  }

  /** Frees what was needed on the way. */
  release(): void {
    this.#staging.release();
    this.#device.buffers.destroy(this.#notes);
  }
}

/** Types of files that leaves have too. */
const SAME: Partial<Record<CheckpointDType, DType>> = { F32: "f32", F16: "f16" };

function memoryOf({ storage }: Target): GPUBufferBinding {
  const { buffer, offset, bytes } = storage!;
  return { buffer, offset, size: Math.max(16, alignUp(bytes, 16)) };
}

/** Elements of a type that no shader knows, as F32. */
function asFloats(bytes: Uint8Array<ArrayBuffer>, { name, dtype }: TensorInfo): Uint8Array<ArrayBuffer> {
  if (isNumeric(dtype)) return new Uint8Array(toFloats(bytes, dtype).buffer);
  throw new TypeError(
    `Cannot load "${name}": expected a type of weights, such as F32 or Q8_0, got ${dtype}`,
  );
}
