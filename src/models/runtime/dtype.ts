import { type DType, PACKED_BLOCK, type PackedDType } from "../../core/dtype.ts";
import { size } from "../../core/shape.ts";
import type { Device } from "../../gpu/device.ts";
import type { TensorInfo } from "../../io/formats/checkpoint.ts";
import type { StreamOptions } from "./weight_stream.ts";

/**
 * The type of a model's weights and activations: what is asked for, else f16 on GPUs that compute in it, and f32 elsewhere.
 * Throws where the adapter lacks it.
 */
export function dtypeFor(model: string, device: Device, asked: "f32" | "f16" | undefined): "f32" | "f16" {
  const { f16, software } = device.traits;
  const dtype = asked ?? (f16 && !software ? "f16" : "f32");
  if (dtype === "f32" || f16) return dtype;
  throw new Error(`Cannot load ${model} as f16: ${device.adapterName} lacks shader-f16; load it as f32`);
}

/** Format of a model's weights in GPU memory. */
export interface WeightFormat {
  /** Type of weights and activations. */
  readonly dtype: DType;
  /** Type of matrices that products read, where they are to take less than `dtype`. */
  readonly quantize?: PackedDType | undefined;
  /** Given where the large weights stay on the disk. */
  readonly stream?: StreamOptions | undefined;
  /** True if shaders can read f16 beside f32. */
  readonly readsHalves?: boolean | undefined;
}

/** The type of a tensor of a file in GPU memory, when it is loaded and when memory is planned. */
export function storedDType(
  key: string,
  { dtype: stored, shape }: Pick<TensorInfo, "dtype" | "shape">,
  { dtype, quantize, readsHalves = false }: WeightFormat,
): DType {
  if (quantize && isPackable(key, shape)) return quantize;
  // Matrices that the file holds in f16 stay so where work is in f32: nothing is lost, and half the memory is read.
  return stored === "F16" && shape.length >= 2 && readsHalves ? "f16" : dtype;
}

const LEAST = 1 << 14; // elements: smaller matrices are not worth what rounding them costs

/**
 * True if a tensor may be stored in fewer bits: a matrix of one of a model's many equal layers, which only
 * products read, and whose rows are whole blocks of packed numbers. The layers before, behind and beside them,
 * such as those of time, stay as they are: they are small, and every value passes through them.
 */
function isPackable(key: string, shape: readonly number[]): boolean {
  const isMatrix = shape.length === 2 && /\.\d+\..+\.weight$/.test(key) && !/embedding|bias/.test(key);
  return isMatrix && shape[1]! % PACKED_BLOCK === 0 && size(shape) >= LEAST;
}
