import { getAncestralStep } from "../euler_ancestral.ts";

const { exp, expm1, log, sqrt } = Math;

/** One call of the model in a step, and the sample after it. */
export interface Evaluation {
  /** σ of the sample that the model gets. */
  readonly sigma: number;
  /** Weight of the sample that the step began with. */
  readonly sample: number;
  /** Weights of what the calls up to this one gave, the newest first; those of earlier steps follow. */
  readonly outputs: readonly number[];
  /** Weights of new noise, and of the noise that the calls before in this step drew, the newest first. */
  readonly noises?: readonly number[] | undefined;
  /** σ between which a Brownian motion runs that the new noise is of. */
  readonly between?: readonly [from: number, to: number] | undefined;
}

/** The calls of the model from one σ to the next. */
export type Step = readonly Evaluation[];

/** The settings of the sampling functions, by k-diffusion's names of their arguments. */
export interface SamplerSettings {
  /** Part, 0 to 1, of the noise that the reverse SDE adds in each step. */
  readonly eta: number;
  /** Standard deviation of that noise, and of churn's. */
  readonly s_noise: number;
  /** Noise that is added before the steps of Euler, Heun and DPM2, in all (Karras et al. 2022, Algorithm 2). */
  readonly s_churn: number;
  /** The smallest σ at which churn adds noise. */
  readonly s_tmin: number;
  /** The largest σ at which churn adds noise. */
  readonly s_tmax: number;
  /** The number of derivatives that LMS and iPNDM use. */
  readonly order: number;
}

/** A sampling loop to plan. */
export interface Run extends SamplerSettings {
  /** σ at which each step begins, then where the last ends. */
  readonly sigmas: readonly number[];
  /** The step that the loop begins with; multistep methods know none before. */
  readonly begin: number;
  /** The model was trained on a flow: x = (1 − σ) x_0 + σ ε; else x = x_0 + σ ε. */
  readonly flow: boolean;
}

/** A sampling method: its calls of the model and the sums between them are known before the loop. */
export interface Sampler {
  /** Terms of its sums: x̂_0, or dx/dσ = (x − x̂_0) / σ. */
  readonly of: "denoised" | "derivative";
  /** The noise of a step: new at each, or the increment of one Brownian motion over σ. */
  readonly noise?: "brownian" | undefined;
  /** `eta` where the config names none. */
  readonly eta: number;
  /** True where log SNR of the first σ must be finite, which that of a flow at σ = 1 is not. */
  readonly needsSnr?: boolean | undefined;
  /** Calls of the model in a step that is neither the last nor the one before. */
  readonly calls: number;
  /** The steps of a loop. */
  readonly plan: (run: Run) => Step[];
}

/** Plans by a function of a step from σ to `next`, before which there were `past` steps. */
export function eachStep(
  step: (run: Run, at: { i: number; past: number; sigma: number; next: number }) => Step,
): Sampler["plan"] {
  return (run) =>
    run.sigmas.slice(0, -1).map((sigma, i) => {
      const past = i < run.begin ? i : i - run.begin;
      return step(run, { i, past, sigma, next: run.sigmas[i + 1]! });
    });
}

/** End of a step that goes below the next σ and up again by new noise. */
export interface Renoising {
  /** σ at which the step itself ends. */
  readonly down: number;
  /** Factor of the sample there. */
  readonly scale: number;
  /** Standard deviation of the noise. */
  readonly up: number;
}

/** k-diffusion's get_ancestral_step; for a flow ComfyUI's, which keeps the weights 1 − σ and σ. */
export function renoising({ flow, eta, s_noise }: Run, sigma: number, next: number): Renoising {
  if (!flow || next === 0) {
    const { down, up } = getAncestralStep(sigma, next, next === 0 ? 0 : eta);
    return { down, scale: 1, up: up * s_noise };
  }
  const down = next * (1 + (next / sigma - 1) * eta);
  const scale = (1 - next) / (1 - down);
  return { down, scale, up: sqrt(Math.max(next ** 2 - (down * scale) ** 2, 0)) * s_noise };
}

/** New noise of a step, none where it is 0. */
export function noisesOf(up: number): readonly number[] | undefined {
  return up > 0 ? [up] : undefined;
}

/** λ = log(α / σ), half the log SNR. */
export function lambdaOf(sigma: number, flow: boolean): number {
  return flow ? log((1 - sigma) / sigma) : -log(sigma);
}

/** The σ of a λ. */
export function sigmaOf(lambda: number, flow: boolean): number {
  return flow ? 1 / (1 + exp(lambda)) : exp(-lambda);
}

/** h φ₁(−h) = 1 − e^−h, the integral over a way of length h in λ of a constant x̂_0. */
export function phi1(h: number): number {
  return -expm1(-h);
}

/** h φ₂(−h) = (e^−h − 1) / h + 1, that of one that grows from 0 to 1. */
export function phi2(h: number): number {
  return expm1(-h) / h + 1;
}

/** Weight of the image at σ. */
export function alphaOf(sigma: number, flow: boolean): number {
  return flow ? 1 - sigma : 1;
}
