import type { Tensor } from "../../tensor/mod.ts";
import type { Affine } from "../linear.ts";
import { normalizeRows, type RowNormOptions } from "./row_norm.ts";

/** y = (x − mean) / √(var + eps) · weight + bias over the last axis (Ba et al. 2016). */
export function layerNorm(x: Tensor, w: Partial<Affine> | null, { eps = 1e-5 }: RowNormOptions = {}): Tensor {
  let y = normalizeRows(x, { center: true, eps });
  if (w?.weight) y = y.mul(w.weight);
  return w?.bias ? y.add(w.bias) : y;
}
