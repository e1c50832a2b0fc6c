import { contiguousStrides, sameStrides, type Shape, size } from "../../core/shape.ts";
import { blockOf, bytesFor, isBlockDType } from "./stored_dtype.ts";
import type { Place, StoredTensor } from "./stored_tensor.ts";

/** Views of stored tensors: slices, transposes and reshapes of places in files. Nothing is read. */

/** Rows `begin` to `end` along the first axis. */
export function sliceRows(tensor: StoredTensor, begin: number, end: number): StoredTensor {
  const { name, dtype, shape: [rows, ...row] } = tensor;
  const { elements } = blockOf(dtype);
  if ([begin, end].some((n) => n * size(row) % elements !== 0)) {
    throw new RangeError(
      `Cannot split "${name}": expected rows of whole ${dtype} blocks, got ${size(row)} elements`,
    );
  }
  const places: Place[] = [];
  let start = 0; // of the place
  for (const place of tensor.places) {
    const [from, to] = [Math.max(begin, start) - start, Math.min(end, start + place.shape[0]!) - start];
    if (from < to) {
      const offset = place.offset + bytesFor(dtype, from * place.strides[0]!);
      places.push({ ...place, offset, shape: [to - from, ...row] });
    }
    start += place.shape[0]!;
  }
  const shape = [end - begin, ...row];
  const scale = tensor.scale && size(tensor.scale.shape) === rows && rows > 1
    ? sliceRows(flat(tensor.scale), begin, end)
    : tensor.scale;
  return { ...tensor, shape, bytes: bytesFor(dtype, size(shape)), places, scale };
}

/** Splits along the first axis into parts of these sizes, as torch.split does. */
export function splitRows(tensor: StoredTensor, sizes: readonly number[]): StoredTensor[] {
  const total = sizes.reduce((sum, n) => sum + n, 0);
  if (total !== tensor.shape[0] || !sizes.every(Number.isInteger)) {
    throw new RangeError(
      `Cannot split "${tensor.name}": expected ${sizes.join(" + ")} rows, got ${tensor.shape[0] ?? "none"}`,
    );
  }
  let at = 0;
  return sizes.map((n) => sliceRows(tensor, at, at += n));
}

/** The second half of the rows, then the first half. */
export function swappedHalves(tensor: StoredTensor): StoredTensor {
  const half = tensor.shape[0]! / 2;
  const [first, second] = splitRows(tensor, [half, half]) as [StoredTensor, StoredTensor];
  const scale = first.scale !== tensor.scale && tensor.scale
    ? { ...flat(tensor.scale), places: [...second.scale!.places, ...first.scale!.places] }
    : tensor.scale;
  return { ...tensor, places: [...second.places, ...first.places], scale };
}

/** The transpose. [M, N] → [N, M] */
export function transposed(tensor: StoredTensor): StoredTensor {
  const { name, dtype, shape, places: [place, ...others] } = tensor;
  if (isBlockDType(dtype) || others.length > 0 || shape.length !== 2) {
    throw new TypeError(`Cannot transpose "${name}": expected a matrix of single elements, got ${dtype}`);
  }
  const [M, N] = shape as Shape<2>;
  const [row, column] = place!.strides as Shape<2>;
  return { ...tensor, shape: [N, M], places: [{ ...place!, shape: [N, M], strides: [column, row] }] };
}

/** The weight of a 1×1 convolution as a matrix. [M, N, 1, 1] or [M, N, 1] → [M, N] */
export function asMatrix(tensor: StoredTensor): StoredTensor {
  const { shape } = tensor;
  if (shape.length <= 2 || shape.slice(2).some((n) => n !== 1)) return tensor;
  const cut = <T>(list: readonly T[]) => list.slice(0, 2);
  const places = tensor.places.map((place) => ({
    ...place,
    shape: cut(place.shape),
    strides: cut(place.strides),
  }));
  return { ...tensor, shape: cut(shape), places };
}

/** A vector as a matrix of one row, as GGUF files lack axes of 1. [N] → [1, N] */
export function asRow(tensor: StoredTensor): StoredTensor {
  const { shape } = tensor;
  if (shape.length !== 1) return tensor;
  const places = tensor.places.map((place) => ({
    ...place,
    shape: [1, ...place.shape],
    strides: [place.shape[0]!, ...place.strides],
  }));
  return { ...tensor, shape: [1, ...shape], places };
}

/** The tensor with one axis. */
function flat(tensor: StoredTensor): StoredTensor {
  const shape = [size(tensor.shape)];
  const places = tensor.places.map((place) => {
    if (!sameStrides(place.shape, place.strides, contiguousStrides(place.shape))) {
      throw new TypeError(`Cannot flatten "${tensor.name}": expected a dense tensor, got a strided one`);
    }
    return { ...place, shape: [size(place.shape)], strides: [1] };
  });
  return { ...tensor, shape, places };
}
