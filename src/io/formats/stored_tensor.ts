import { contiguousStrides, sameStrides, size } from "../../core/shape.ts";
import { type BinaryFile, READ_LIMIT } from "../files/binary_file.ts";
import { damaged, quote } from "../files/errors.ts";
import { blockOf, bytesFor, type CheckpointDType, elementsIn } from "./stored_dtype.ts";

/** A tensor of a checkpoint, without its values. */
export interface TensorInfo {
  /** The key in the state dict, such as "conv_in.weight". */
  readonly name: string;
  /** The type of the elements. */
  readonly dtype: CheckpointDType;
  /** Sizes of its axes; [] for a scalar. */
  readonly shape: readonly number[];
  /** Bytes of all elements in row-major order. */
  readonly bytes: number;
}

/** Elements in a file. */
export interface Place {
  /** The open file. */
  readonly file: BinaryFile;
  /** Position of the first element, in bytes. */
  readonly offset: number;
  /** Sizes of the axes. */
  readonly shape: readonly number[];
  /** Strides of the axes in elements; torch may store strided views, types of blocks are contiguous. */
  readonly strides: readonly number[];
}

/** A tensor and the places of its elements. */
export interface StoredTensor extends TensorInfo {
  /** Its parts, concatenated along the first axis; nearly all tensors have one. */
  readonly places: readonly Place[];
  /** The scale by which its elements are multiplied, one number or one a row; fp8 checkpoints have it. */
  readonly scale?: StoredTensor | undefined;
}

/** The contents of a file of weights. */
export interface Contents {
  /** Tensors by name. */
  readonly tensors: Map<string, StoredTensor>;
  /** Strings that a file has besides tensors. */
  readonly metadata: Map<string, string>;
}

const LONGEST = 1000; // letters of a name; those of models have up to 150

/** Refuses a name so long that looking for patterns in it would take time. */
export function expectName(name: string, path: string): void {
  if (name.length <= LONGEST) return;
  throw damaged(path, `names of tensors of at most ${LONGEST} letters`, `${quote(name)} of ${name.length}`);
}

/** A tensor whose elements lie in row-major order from `offset`. */
export function storedAt(file: BinaryFile, offset: number, info: TensorInfo): StoredTensor {
  const { shape } = info;
  return { ...info, places: [{ file, offset, shape, strides: contiguousStrides(shape) }] };
}

/** True where `value` is a whole number from 0 to 2^53. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && value as number >= 0;
}

/** True where `value` is a list of such numbers: a shape, strides or a range. */
export function isCountList(value: unknown): value is readonly number[] {
  return Array.isArray(value) && value.every(isCount);
}

/**
 * Reads elements from `first` on in row-major order, as little-endian bytes, until `target` is full; of types
 * of blocks, whole blocks. `target` is aligned for typed arrays of the elements.
 */
export async function readElements(
  tensor: StoredTensor,
  first: number,
  target: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const { dtype, places } = tensor;
  if (places.length === 1) return await readPlace(places[0]!, dtype, first, target);
  const end = first + elementsIn(dtype, target.length);
  let start = 0; // of the place
  for (const place of places) {
    const next = start + size(place.shape);
    const [from, to] = [Math.max(first, start), Math.min(end, next)];
    if (from < to) {
      const piece = target.subarray(bytesFor(dtype, from - first), bytesFor(dtype, to - first));
      await readPlace(place, dtype, from - start, piece);
    }
    start = next;
  }
}

/** Throws unless there are `count` elements from `first` on, in whole blocks, few enough to read at once. */
export function expectPiece({ name, dtype, shape }: TensorInfo, first: number, count: number): void {
  const { elements } = blockOf(dtype);
  const total = size(shape);
  if (!isCount(first) || !isCount(count) || first + count > total) {
    throw new RangeError(
      `Cannot read "${name}": expected a piece of its ${total} elements, got ${count} from ${first}`,
    );
  }
  if (first % elements !== 0 || count % elements !== 0) {
    throw new RangeError(
      `Cannot read "${name}": expected whole blocks of ${elements} elements, got ${count} from ${first}`,
    );
  }
  if (bytesFor(dtype, count) > READ_LIMIT) {
    throw new RangeError(
      `Cannot read "${name}": expected at most ${READ_LIMIT} bytes a piece, got ${
        bytesFor(dtype, count)
      }; read smaller pieces`,
    );
  }
}

async function readPlace(
  place: Place,
  dtype: CheckpointDType,
  first: number,
  target: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const { file, offset, shape, strides } = place;
  if (sameStrides(shape, strides, contiguousStrides(shape))) {
    return await file.fill(offset + bytesFor(dtype, first), target);
  }
  await gather(place, bytesFor(dtype, 1), first, target);
}

/** Collects scattered elements by reading the range of the file that has them all, a window at a time. */
async function gather(
  place: Place,
  width: number,
  first: number,
  target: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const Lanes = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: BigUint64Array }[width]!;
  const count = target.length / width;
  let [lowest, highest] = [Infinity, -1];
  visit(place, first, count, (at) => {
    lowest = Math.min(lowest, at);
    highest = Math.max(highest, at);
  });
  const gathered = new Lanes(target.buffer, target.byteOffset, count);
  const step = READ_LIMIT / width;
  for (let start = lowest; start <= highest; start += step) {
    const length = Math.min(step, highest + 1 - start);
    const bytes = await place.file.read(place.offset + start * width, length * width);
    const window = new Lanes(bytes.buffer);
    visit(place, first, count, (at, i) => {
      if (at >= start && at < start + length) gathered[i] = window[at - start]!;
    });
  }
}

/** Calls `see` with the position in storage of each element of a row-major piece, in elements. */
function visit(
  { shape, strides }: Place,
  first: number,
  count: number,
  see: (at: number, i: number) => void,
): void {
  const index = contiguousStrides(shape).map((stride, axis) => Math.floor(first / stride) % shape[axis]!);
  let at = index.reduce((sum, n, axis) => sum + n * strides[axis]!, 0);
  for (let i = 0; i < count; i++) {
    see(at, i);
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      at += strides[axis]!;
      if (++index[axis]! < shape[axis]!) break;
      at -= strides[axis]! * shape[axis]!;
      index[axis] = 0;
    }
  }
}
