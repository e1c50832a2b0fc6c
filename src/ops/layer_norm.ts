import code from "../../shaders/layer_norm.wgsl" with { type: "text" };
import { GRID, recordKernel, REDUCTION, type Tensor } from "../tensor/mod.ts";
import type { Affine } from "./linear.ts";
import { rowWorkgroup, valuesOf } from "./sources.ts";

/** Options of `layerNorm` and `rmsNorm`. */
export interface RowNormOptions {
  /** Added to the variance (1e-5 by default), in `rmsNorm` to the mean square (1e-6 by default). */
  eps?: number;
}

/** y = (x − mean) / √(var + eps) · weight + bias over the last axis (Ba et al. 2016). */
export function layerNorm(x: Tensor, w: Partial<Affine> | null, { eps = 1e-5 }: RowNormOptions = {}): Tensor {
  let y = normalize(x, 1, eps);
  if (w?.weight) y = y.mul(w.weight);
  return w?.bias ? y.add(w.bias) : y;
}

/** y = x / √(mean(x²) + eps) · weight over the last axis (Zhang & Sennrich 2019). */
export function rmsNorm(
  x: Tensor,
  w: Pick<Affine, "weight"> | null,
  { eps = 1e-6 }: RowNormOptions = {},
): Tensor {
  const y = normalize(x, 0, eps);
  return w ? y.mul(w.weight) : y;
}

function normalize(x: Tensor, center: 0 | 1, eps: number): Tensor {
  const columns = x.shape.at(-1)!;
  let rows = x.reshape([-1, columns]);
  if (rows.strides[1] !== 1) rows = rows.contiguous();
  const x_row = rows.strides[0];
  const values = valuesOf(columns, rows.offset, x_row);
  const y = recordKernel("layer_norm", {
    inputs: [rows],
    shape: rows.shape,
    dtype: x.dtype,
    code: [GRID, values.part, REDUCTION, { name: "shaders/layer_norm.wgsl", text: code }],
    set: { X: x.dtype, WG: rowWorkgroup(x.device.traits.software) },
    params: { rows: rows.shape[0], columns, x_offset: rows.offset, x_row, center, eps },
    axes: [1, 1, rows.shape[0], columns],
    width: values.width,
    workgroups: rows.shape[0],
    flops: 8 * x.size,
  });
  return y.reshape(x.shape);
}
