import { z } from "zod";
import { nameOfKind } from "../core/error.ts";
import { formatShape } from "../core/shape.ts";
import { flag } from "../io/config.ts";
import { Tensor } from "../tensor/mod.ts";

/** Kinds of model output: the noise ε, the image x_0, or the velocity v = √ᾱ ε − √(1−ᾱ) x_0. */
export type PredictionType = "epsilon" | "sample" | "v_prediction";

/** The schema of a PredictionType. */
export const predictionType = z.enum(["epsilon", "sample", "v_prediction"]).default("epsilon");

/** The keys of dynamic thresholding. */
export interface ThresholdConfig {
  /** Keeps x̂_0 within a quantile of itself (Saharia et al. 2022). */
  thresholding: boolean;
  /** The quantile, from 0 to 1. */
  dynamic_thresholding_ratio: number;
  /** The largest bound that thresholding may choose. */
  sample_max_value: number;
}

/** The schema of ThresholdConfig. */
export const thresholdConfig = {
  thresholding: flag(false),
  dynamic_thresholding_ratio: z.number().min(0).max(1).default(0.995),
  sample_max_value: z.number().positive().nullable().default(1).transform((most) => most ?? Infinity),
};

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

/**
 * Throws where a model's output does not fit the sample [B, C, …]:
 * it is of that shape or, of a model that may have learned its variance, [B, 2C, …].
 */
export function expectOutput(modelOutput: Tensor, sample: Tensor, mayHaveVariance: boolean): void {
  const odd = [modelOutput, sample].find((x) => !(x instanceof Tensor));
  if (odd) {
    const advice = Object.hasOwn(odd, "sample") ? "; take its sample" : "";
    throw new TypeError(
      `Cannot step: expected the model's output and the sample as tensors, got ${nameOfKind(odd)}${advice}`,
    );
  }
  const { shape } = sample;
  const fits = modelOutput.rank === sample.rank &&
    modelOutput.shape.every((n, axis) =>
      n === shape[axis] || (mayHaveVariance && axis === 1 && n === 2 * shape[axis]!)
    );
  if (fits) return;
  throw new RangeError(
    `Cannot step: expected a model's output ${formatShape(shape)}, as the sample is, got ${
      formatShape(modelOutput.shape)
    }`,
  );
}
