import type { Tensor } from "../../tensor/mod.ts";
import type { Affine } from "../linear.ts";
import { normalizeRows, type RowNormOptions } from "./row_norm.ts";

/** y = x / √(mean(x²) + eps) · weight over the last axis (Zhang & Sennrich 2019). */
export function rmsNorm(
  x: Tensor,
  w: Partial<Pick<Affine, "weight">> | null,
  { eps = 1e-6 }: RowNormOptions = {},
): Tensor {
  const y = normalizeRows(x, { center: false, eps });
  return w?.weight ? y.mul(w.weight) : y;
}
