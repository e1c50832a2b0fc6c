import { contiguousStrides, sameStrides, size } from "../core/shape.ts";
import type { BinaryFile } from "./binary_file.ts";
import { READ_LIMIT } from "./binary_file.ts";

/** Element types of checkpoints, in safetensors' words. */
export type CheckpointDType =
  | "BOOL"
  | "U8"
  | "I8"
  | "F8_E4M3"
  | "F8_E5M2"
  | "U16"
  | "I16"
  | "F16"
  | "BF16"
  | "U32"
  | "I32"
  | "F32"
  | "U64"
  | "I64"
  | "F64";

const elementBytes: Record<CheckpointDType, number> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E4M3: 1,
  F8_E5M2: 1,
  U16: 2,
  I16: 2,
  F16: 2,
  BF16: 2,
  U32: 4,
  I32: 4,
  F32: 4,
  U64: 8,
  I64: 8,
  F64: 8,
};

/** True where `name` is an element type that can be read. */
export function isCheckpointDType(name: unknown): name is CheckpointDType {
  return typeof name === "string" && Object.hasOwn(elementBytes, name);
}

/** The element types that can be read, for messages. */
export function listDTypes(): string {
  return Object.keys(elementBytes).join(", ");
}

/** Bytes of one element. */
export function bytesOf(dtype: CheckpointDType): number {
  return elementBytes[dtype];
}

/** A tensor of a checkpoint: what it is, not what it holds. */
export interface TensorInfo {
  /** Its key in the state dict, such as "conv_in.weight". */
  readonly name: string;
  /** Its element type. */
  readonly dtype: CheckpointDType;
  /** Sizes of its axes; [] for a scalar. */
  readonly shape: readonly number[];
  /** Bytes of all elements in row-major order. */
  readonly bytes: number;
}

/** A tensor and where its elements lie. */
export interface StoredTensor extends TensorInfo {
  /** The open file that holds it. */
  readonly file: BinaryFile;
  /** Position in the file of the first element, in bytes. */
  readonly offset: number;
  /** Steps along the axes, in elements; torch may store a transposed or strided view. */
  readonly strides: readonly number[];
}

/** What a file of weights holds. */
export interface Contents {
  /** Tensors by name. */
  readonly tensors: Map<string, StoredTensor>;
  /** Strings beside the tensors. */
  readonly metadata: Map<string, string>;
}

/** Bytes of a tensor, or undefined where the product passes 2^53. */
export function tensorBytes(shape: readonly number[], dtype: CheckpointDType): number | undefined {
  let bytes = bytesOf(dtype);
  for (const n of shape) {
    bytes *= n;
    if (!Number.isSafeInteger(bytes)) return undefined;
  }
  return bytes;
}

/** True where `value` is a whole number from 0 to 2^53. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && value as number >= 0;
}

/** True where `value` is a list of such numbers: a shape, strides or a range. */
export function isCountList(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every(isCount);
}

/** Reads elements `first` to `first + count` in row-major order, as little-endian bytes. */
export function readElements(
  tensor: StoredTensor,
  first: number,
  count: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const { file, offset, dtype, shape, strides } = tensor;
  const total = size(shape);
  if (!isCount(first) || !isCount(count) || first + count > total) {
    throw new RangeError(
      `Cannot read "${tensor.name}": expected a piece of its ${total} elements, got ${count} from ${first}`,
    );
  }
  const width = bytesOf(dtype);
  if (count * width > READ_LIMIT) {
    throw new RangeError(
      `Cannot read "${tensor.name}": expected at most ${READ_LIMIT} bytes a piece, got ${
        count * width
      }; read smaller pieces`,
    );
  }
  if (sameStrides(shape, strides, contiguousStrides(shape))) {
    return file.read(offset + first * width, count * width);
  }
  return gather(tensor, first, count);
}

/** Collects scattered elements by reading the span that they lie in, a window at a time. */
async function gather(tensor: StoredTensor, first: number, count: number): Promise<Uint8Array<ArrayBuffer>> {
  const width = bytesOf(tensor.dtype);
  const Lanes = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: BigUint64Array }[width]!;
  let [lowest, highest] = [Infinity, -1];
  visit(tensor, first, count, (at) => {
    lowest = Math.min(lowest, at);
    highest = Math.max(highest, at);
  });
  const gathered = new Lanes(count);
  const step = READ_LIMIT / width;
  for (let start = lowest; start <= highest; start += step) {
    const length = Math.min(step, highest + 1 - start);
    const bytes = await tensor.file.read(tensor.offset + start * width, length * width);
    const window = new Lanes(bytes.buffer);
    visit(tensor, first, count, (at, i) => {
      if (at >= start && at < start + length) gathered[i] = window[at - start];
    });
  }
  return new Uint8Array(gathered.buffer);
}

/** Calls `see` with the position in storage of each element of a row-major piece, in elements. */
function visit(
  { shape, strides }: StoredTensor,
  first: number,
  count: number,
  see: (at: number, i: number) => void,
): void {
  const index = contiguousStrides(shape).map((stride, axis) => Math.floor(first / stride) % shape[axis]);
  let at = index.reduce((sum, n, axis) => sum + n * strides[axis], 0);
  for (let i = 0; i < count; i++) {
    see(at, i);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += strides[axis];
      if (++index[axis] < shape[axis]) break;
      at -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
}
