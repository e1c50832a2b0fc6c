import { bytesOf, type DType, isPacked, PACKED_BLOCK } from "../../core/dtype.ts";
import { size } from "../../core/shape.ts";
import { alignUp } from "../../gpu/memory/buffers.ts";
import type { Device } from "../../gpu/device.ts";
import { foldGrid } from "../../gpu/shader/grid.ts";
import type { Pipeline } from "../../gpu/shader/pipelines.ts";
import { type Room, Staging } from "../../gpu/memory/staging.ts";
import type { Leaf } from "../../graph/node.ts";
import type { Checkpoint, TensorInfo } from "../formats/checkpoint.ts";
import { isNumeric, toFloats } from "../formats/numbers.ts";
import { blockOf, bytesFor, type CheckpointDType } from "../formats/stored_dtype.ts";
import { type Conversion, conversionOf } from "./conversion.ts";
import { checkOnHost, convertOnHost, type HostDType, isHostDType, type Order } from "./host_convert.ts";

/** Bytes of a piece of a tensor: pieces are read, converted and sent one after another. */
export const PIECE = 8 << 20;

const SHARES = 16; // parts in which weights are sent at least: small models take little staging memory
const HEAD = 256; // bytes for the params in front of a piece
const STORAGE = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;

/** A leaf, or another place that gets a tensor's values. */
export type Target = Pick<Leaf, "dtype" | "count" | "storage">;

/** Findings about a tensor's values. */
export interface Note {
  /** NOT_FINITE, TOO_LARGE, both or none. */
  readonly flags: number;
  /** Error of a packed tensor: the root mean square of its differences, divided by that of its values. */
  readonly error: number;
}

/** Reads the values of tensors: an open checkpoint, or values that were made. */
export type TensorSource = Pick<Checkpoint, "read" | "fill" | "scaleOf">;

/** A tensor that is being sent. */
interface Transfer {
  readonly checkpoint: TensorSource;
  readonly info: TensorInfo;
  readonly leaf: Target;
  /** Its index among the converter's tensors. */
  readonly number: number;
  readonly order: Order;
}

/** The way in which the pieces of a tensor are sent. */
interface Route {
  /** Bytes that an element takes in a piece. */
  readonly width: number;
  send(first: number, count: number): Promise<void>;
  /** Runs after the last piece. */
  end?(): Promise<void>;
}

/**
 * Converts tensors of checkpoints to the types of their leaves and sends them. Files are read straight into
 * staging memory. Tensors of the leaf's type are copied to their place. Others are converted on the GPU by
 * shaders/convert/convert.wgsl, or by quantize.wgsl for packed leaves; where the adapter is a CPU, by the
 * host beforehand.
 */
export class Converter {
  readonly #device: Device;
  readonly #staging: Staging;
  readonly #notes: GPUBuffer;
  /** Findings of the host, by tensor. */
  readonly #flags: Uint32Array;
  /** A piece that the host converts. */
  #scratch = new Uint8Array();

  /** For `tensors` tensors of a model, of which at most `bytes` are sent between two flushes. */
  constructor(device: Device, label: string, { tensors, bytes }: { tensors: number; bytes: number }) {
    this.#device = device;
    const all = bytes + (1 + tensors) * HEAD;
    const size = Math.min(PIECE + (PIECE >> 4), Math.ceil(all / SHARES)); // small tensors share a buffer
    this.#staging = new Staging(device, `sending the weights of ${label}`, size);
    this.#notes = device.buffers.create("upload notes", tensors * 12, STORAGE);
    this.#flags = new Uint32Array(tensors);
  }

  /** Reads the tensor with index `number` piece by piece. The next flush submits what is left of its commands. */
  async send(
    checkpoint: TensorSource,
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
    const route = await this.#routeOf({ checkpoint, info, leaf, number, order });
    for (const [first, count] of pieces(info, leaf.dtype, order, route.width)) {
      signal?.throwIfAborted();
      await route.send(first, count);
      onBytes?.(bytesFor(info.dtype, count));
    }
    await route.end?.();
  }

  /** Submits what was read. */
  async flush(): Promise<void> {
    await this.#staging.flush();
  }

  async #routeOf(transfer: Transfer): Promise<Route> {
    const { checkpoint, info, leaf, order } = transfer;
    const scale = await checkpoint.scaleOf(info);
    if (scale || isPacked(leaf.dtype)) return this.#byShader(transfer, scale);
    const isSame = order.taps === 1 && SAME[info.dtype] === leaf.dtype;
    if (!this.#device.traits.software) return isSame ? this.#asItIs(transfer) : this.#byShader(transfer);
    const { dtype } = info;
    return isHostDType(dtype) ? this.#byHost(transfer, dtype, isSame) : this.#byShader(transfer);
  }

  /** The GPU copies the pieces, then checks the values of the whole. */
  #asItIs(transfer: Transfer): Route {
    const { info, leaf, number, order } = transfer;
    const { dtype, count } = leaf;
    const end = async () => {
      const conversion = conversionOf(info.dtype, dtype, true);
      const pipeline = await this.#ready(conversion);
      const params = conversion.params({ count, first: 0, ...order, tensor: number, scaled: 0 });
      const room = await this.#staging.room(HEAD);
      room.bytes.set(params);
      this.#dispatch(pipeline, count, room, params.length, (staged) => [
        memoryOf(leaf),
        { buffer: staged, offset: room.offset, size: HEAD }, // in place of scales: there are none
        { buffer: this.#notes },
      ]);
    };
    return {
      width: bytesOf(dtype),
      send: async (first, count) => void await this.#place(transfer, first, count),
      end,
    };
  }

  /** The host checks and converts, then the GPU copies. */
  #byHost(transfer: Transfer, from: HostDType, isSame: boolean): Route {
    const { checkpoint, info, number, order } = transfer;
    const to = transfer.leaf.dtype as "f32" | "f16";
    const [read, written] = [bytesFor(from, 1), bytesOf(to)];
    const send = async (first: number, count: number) => {
      if (isSame) {
        this.#flags[number]! |= checkOnHost(await this.#place(transfer, first, count), from, to);
        return;
      }
      if (this.#scratch.length < count * read) this.#scratch = new Uint8Array(count * read);
      const source = this.#scratch.subarray(0, count * read);
      await checkpoint.fill(info, first, source);
      this.#flags[number]! |= checkOnHost(source, from, to);
      await this.#place(transfer, first, count, (target) => convertOnHost(source, from, target, to, order));
    };
    return { width: Math.max(read, written), send };
  }

  /** Writes a piece, by default as the file has it, to staging memory that is copied to the leaf; returns it. */
  async #place(
    { checkpoint, info, leaf }: Transfer,
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

  /** The GPU checks and converts. In staging memory params and scales stand in front of the piece. */
  #byShader({ checkpoint, info, leaf, number, order }: Transfer, scale?: Float32Array<ArrayBuffer>): Route {
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
      this.#dispatch(pipeline, invocations, room, params.length, (staged) => [
        { buffer: staged, offset: room.offset + begin, size: length },
        { buffer: staged, offset: room.offset + scales, size: begin - scales },
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

  /** Records a kernel whose params begin the room; `bindings` are those in front of the params. */
  #dispatch(
    { gpu: pipeline, layout }: Pipeline,
    invocations: number,
    { offset }: Room,
    params: number,
    bindings: (staged: GPUBuffer) => GPUBufferBinding[],
  ): void {
    const { gpu, limits } = this.#device;
    const grid = foldGrid(Math.ceil(invocations / 64), limits.maxComputeWorkgroupsPerDimension);
    this.#staging.dispatch((pass, staged) => {
      const all = [...bindings(staged), { buffer: staged, offset, size: params }];
      const entries = all.map((resource, binding) => ({ binding, resource }));
      pass.setPipeline(pipeline!);
      pass.setBindGroup(0, gpu.createBindGroup({ layout, entries }));
      pass.dispatchWorkgroups(...grid);
    });
  }

  /** Findings by the index of the tensor. */
  async notes(): Promise<Note[]> {
    const words = await this.#device.read(this.#notes, 0, this.#notes.size);
    const [flags, sums] = [new Uint32Array(words), new Float32Array(words)];
    return Array.from(this.#flags, (found, i) => ({
      flags: found | flags[3 * i]!,
      error: Math.sqrt(sums[3 * i + 1]! / (sums[3 * i + 2] || 1)),
    }));
  }

  /** Frees the staging memory. */
  release(): void {
    this.#staging.release();
    this.#device.buffers.destroy(this.#notes);
  }
}

/** Types that leaves have too. */
const SAME: Partial<Record<CheckpointDType, DType>> = { F32: "f32", F16: "f16" };

function memoryOf({ storage }: Target): GPUBufferBinding {
  const { buffer, offset, bytes } = storage!;
  return { buffer, offset, size: Math.max(16, alignUp(bytes, 16)) };
}

/** Elements of a type that no shader reads, as F32. */
function asFloats(bytes: Uint8Array<ArrayBuffer>, { name, dtype }: TensorInfo): Uint8Array<ArrayBuffer> {
  if (isNumeric(dtype)) return new Uint8Array(toFloats(bytes, dtype).buffer);
  throw new TypeError(
    `Cannot load "${name}": expected a type of weights, such as F32 or Q8_0, got ${dtype}`,
  );
}

/**
 * The pieces [first element, count] of a tensor whose elements take `width` bytes each: whole blocks and
 * words, and whole output channels of a convolution.
 */
function* pieces(
  { shape, dtype }: TensorInfo,
  to: DType,
  { inputs, taps }: Order,
  width: number,
): Generator<[number, number]> {
  const count = size(shape);
  const rows = taps > 1 ? inputs * taps : 1;
  const blocks = Math.max(blockOf(dtype).elements, isPacked(to) ? PACKED_BLOCK : 4); // one divides the other
  const unit = leastCommonMultiple(rows, blocks);
  const most = Math.max(unit, Math.floor(PIECE / width / unit) * unit);
  for (let first = 0; first < count; first += most) yield [first, Math.min(most, count - first)];
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y) [x, y] = [y, x % y];
  return a / x * b;
}
