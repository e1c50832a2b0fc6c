import { randn } from "../random/mod.ts";
import { type Tensor, weightedSum } from "../tensor/mod.ts";
import type { StepOptions } from "./scheduler.ts";

const f32 = Math.fround;

/**
 * How much new noise a step adds before it goes on (Karras et al. 2022, https://arxiv.org/abs/2206.00364).
 */
export interface ChurnOptions extends StepOptions {
  /** Noise in all, spread over the steps; 0 for none. */
  sChurn?: number | undefined;
  /** The smallest σ at which noise is added. */
  sTmin?: number | undefined;
  /** The largest σ at which noise is added. */
  sTmax?: number | undefined;
  /** Standard deviation of that noise. */
  sNoise?: number | undefined;
}

/** The names of what a step with churn is told beside the generator. */
export const CHURN_OPTIONS = ["sChurn", "sTmin", "sTmax", "sNoise"] satisfies (keyof ChurnOptions)[];

/** The sample raised from σ to σ̂ by new noise (Algorithm 2, lines 4 to 6), one of so many steps. */
export function churned(
  sample: Tensor,
  sigma: number,
  steps: number,
  { sChurn = 0, sTmin = 0, sTmax = Infinity, sNoise = 1, generator }: ChurnOptions,
): { sample: Tensor; sigma: number } {
  const gamma = sigma >= sTmin && sigma <= sTmax ? Math.min(sChurn / steps, Math.SQRT2 - 1) : 0;
  if (!(gamma > 0)) return { sample, sigma };
  const raised = f32(sigma * f32(gamma + 1));
  const deviation = Math.sqrt(f32(f32(raised ** 2) - f32(sigma ** 2))); // rounded as in torch, as it cancels
  const noise = randn(sample.shape, { generator });
  return { sample: weightedSum([1, sample], [sNoise * deviation, noise]), sigma: raised };
}
