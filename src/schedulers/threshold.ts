import type { Tensor } from "../tensor/mod.ts";

/** How far thresholding may go. */
export interface ThresholdConfig {
  /** Keeps x̂_0 within a quantile of itself (Saharia et al. 2022). */
  thresholding: boolean;
  /** Which quantile. */
  dynamic_thresholding_ratio: number;
  /** The largest bound that thresholding may choose. */
  sample_max_value: number;
}

/**
 * Dynamic thresholding (Saharia et al. 2022, section 2.3):
 * per image, x̂_0 / s within [-1, 1] for a quantile s.
 */
export function threshold(
  x0: Tensor,
  { dynamic_thresholding_ratio, sample_max_value }: ThresholdConfig,
): Tensor {
  const [B, ...rest] = x0.shape as readonly [number, ...number[]];
  const s = x0.abs().reshape([B, -1]).quantile(dynamic_thresholding_ratio, 1)
    .clamp(Math.min(1, sample_max_value), sample_max_value)
    .reshape([B, ...rest.map(() => 1)]);
  return x0.div(s).clamp(-1, 1);
}
