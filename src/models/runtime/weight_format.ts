import { type DType, PACKED_BLOCK, type PackedDType } from "../../core/dtype.ts";
import { size } from "../../core/shape.ts";
import type { TensorInfo } from "../../io/formats/checkpoint.ts";
import type { StreamOptions } from "./weight_stream.ts";

/** How a model's weights are to lie in GPU memory. */
export interface WeightFormat {
  /** Of weights and activations. */
  readonly dtype: DType;
  /** Of matrices that products read, where they are to take less than `dtype`. */
  readonly quantize?: PackedDType | undefined;
  /** Where the large ones stay on the disk. */
  readonly stream?: StreamOptions | undefined;
  /** Whether shaders can read f16 beside f32. */
  readonly readsHalves?: boolean | undefined;
}

const LEAST = 1 << 14; // elements: smaller matrices are not worth what rounding them costs

/**
 * The type in which a tensor of a file lies in GPU memory:
 * the one place that decides it, for loading and for planning.
 */
export function formatOf(
  key: string,
  { dtype: stored, shape }: Pick<TensorInfo, "dtype" | "shape">,
  { dtype, quantize, readsHalves = false }: WeightFormat,
): DType {
  if (quantize && isProduct(key, shape)) return quantize;
  // Matrices that the file holds in f16 stay so where work is in f32: nothing is lost, and half the memory is read.
  return stored === "F16" && shape.length >= 2 && readsHalves ? "f16" : dtype;
}

/**
 * Whether a tensor is packed: a matrix of one of a model's many equal blocks, which only products read, in
 * whole blocks of a row. The layers before, behind and beside them, such as those of time, are small and
 * every value passes them.
 */
function isProduct(key: string, shape: readonly number[]): boolean {
  const isMatrix = shape.length === 2 && /\.\d+\..*\bweight$/.test(key) && !/embedding|bias/.test(key);
  return isMatrix && shape[1]! % PACKED_BLOCK === 0 && size(shape) >= LEAST;
}
