import { z } from "zod";
import { sqrtf } from "../core/float32.ts";
import { alphasCumprod, type BetaConfig } from "./betas.ts";
import { betaQuantile, linspace } from "../core/math.ts";
import { checkedCount } from "./timesteps.ts";

const f32 = Math.fround;

/** The keys that spread σ itself, instead of taking it at the timesteps; at most one is true. */
export interface SigmaConfig {
  /** Even in σ^(1/7) (Karras et al. 2022, eq. 5). */
  use_karras_sigmas: boolean;
  /** Even in log σ. */
  use_exponential_sigmas: boolean;
  /**
   * By the quantiles of a Beta(0.6, 0.6) distribution (Lee et al. 2024, https://arxiv.org/abs/2407.12173).
   */
  use_beta_sigmas: boolean;
  /** The smallest σ of such a spread; the smallest of training when left out. */
  sigma_min?: number | null | undefined;
  /** The largest σ of such a spread; the largest of training when left out. */
  sigma_max?: number | null | undefined;
}

/** The schema of SigmaConfig. */
export const sigmaConfig = {
  use_karras_sigmas: z.boolean().nullish().transform(Boolean),
  use_exponential_sigmas: z.boolean().nullish().transform(Boolean),
  use_beta_sigmas: z.boolean().nullish().transform(Boolean),
  sigma_min: z.number().min(0).nullish(),
  sigma_max: z.number().positive().nullish(),
};

/** The end of the last step: the clean image, or the smallest σ of training. */
export type FinalSigmas = "zero" | "sigma_min";

/** Timesteps, and the noise levels there. */
export interface Levels {
  /** The timesteps that the model gets. */
  timesteps: number[];
  /** σ of each. */
  sigmas: number[];
}

/** Tables over the timesteps of training, in f32 as torch has them. */
export interface SigmaTable {
  /** ᾱ_t. */
  alphasCumprod: Float32Array;
  /** σ_t = √((1 − ᾱ_t) / ᾱ_t), the noise relative to an image of unit scale; rising. */
  sigmas: Float32Array;
  /** log σ_t. */
  logSigmas: Float32Array;
}

/** The table of a config. Where training ended at pure noise, its ᾱ is kept just above 0 and σ finite. */
export function sigmaTable(config: BetaConfig): SigmaTable {
  const bars = alphasCumprod(config);
  const last = bars.length - 1;
  if (config.rescale_betas_zero_snr) bars[last] = 2 ** -24;
  const sigmas = bars.map((bar) => sqrtf(f32(f32(1 - bar) / bar)));
  return { alphasCumprod: bars, sigmas, logSigmas: sigmas.map(Math.log) };
}

/**
 * `count` falling noise levels as the config spreads them over a range,
 * or none where it leaves that to the timesteps.
 */
export function spreadSigmas(
  config: SigmaConfig,
  range: { max: number; min: number },
  count: number,
): number[] | undefined {
  const chosen = chosenSpreads(config);
  if (chosen.length > 1) {
    throw new RangeError(`Cannot spread sigmas: expected at most one spread, got ${chosen.join(" and ")}`);
  }
  if (chosen.length === 0) return undefined;
  return spreads[chosen[0]!](config.sigma_max ?? range.max, config.sigma_min ?? range.min, count);
}

/** The spreads that a config asks for. */
export function chosenSpreads(config: SigmaConfig): (keyof typeof spreads)[] {
  return (Object.keys(spreads) as (keyof typeof spreads)[]).filter((key) => config[key]);
}

const spreads = {
  use_karras_sigmas: (max: number, min: number, count: number) => {
    const rho = 7;
    const [high, low] = [max ** (1 / rho), min ** (1 / rho)];
    return linspace(0, 1, count).map((ramp) => (high + ramp * (low - high)) ** rho);
  },
  use_exponential_sigmas: (max: number, min: number, count: number) =>
    linspace(Math.log(max), Math.log(min), count).map(Math.exp),
  use_beta_sigmas: (max: number, min: number, count: number) =>
    linspace(0, 1, count).map((ramp) => min + betaQuantile(1 - ramp, 0.6) * (max - min)),
};

/**
 * The timestep, perhaps between two, at which training had so much noise; it is linear in log σ between them.
 * numpy takes the logarithm in the precision of its argument: `round` is Math.fround where sigma is f32
 * there.
 */
export function sigmaToTimestep(
  sigma: number,
  logSigmas: Float32Array,
  round: (x: number) => number = (x) => x,
): number {
  const logSigma = round(Math.log(Math.max(sigma, 1e-10)));
  const i = Math.min(Math.max(logSigmas.findLastIndex((low) => low <= logSigma), 0), logSigmas.length - 2);
  const [low, high] = [logSigmas[i], logSigmas[i + 1]] as [number, number];
  const w = Math.min(Math.max(round(round(low - logSigma) / f32(low - high)), 0), 1);
  return round(1 - w) * i + w * (i + 1);
}

/** `count` levels of a flow, shifted towards 1, without the clean end. */
export function flowSigmas(count: number, shift: number, T: number): number[] {
  return linspace(1, 1 / T, checkedCount(count, T) + 1).map((alpha) => 1 - alpha)
    .map((sigma) => shiftedSigma(sigma, shift)).reverse().slice(0, -1);
}

/** A level of a flow moved towards noise: s σ / (1 + (s − 1) σ) (Esser et al. 2024, eq. 23). */
export function shiftedSigma(sigma: number, shift: number): number {
  return shift * sigma / (1 + (shift - 1) * sigma);
}

/** σ where the last step ends. */
export function finalSigma(type: FinalSigmas, sigmas: ArrayLike<number>): number {
  return type === "zero" ? 0 : sigmas[0]!;
}

/** The noise level of x = α x_0 + σ ε. */
export interface NoiseLevel {
  /** Weight of the image. */
  alpha: number;
  /** Weight of the noise. */
  sigma: number;
  /** λ = log α − log σ, half the log SNR. */
  lambda: number;
  /** Noise relative to an image of unit scale, σ / α; of a flow σ itself. */
  ratio: number;
}

/**
 * The level of a σ relative to an image of unit scale, or of a flow's σ. Rounded as in torch, since differences of
 * λ cancel.
 */
export function noiseLevel(ratio: number, flow: boolean): NoiseLevel {
  const alpha = flow ? f32(1 - ratio) : f32(1 / f32(Math.sqrt(f32(f32(ratio * ratio) + 1))));
  const sigma = flow ? ratio : f32(ratio * alpha);
  return { alpha, sigma, lambda: f32(f32(Math.log(alpha)) - f32(Math.log(sigma))), ratio };
}
