import { z } from "zod";
import { linspaceF32 } from "../core/math.ts";

/** The course of β_t over t. */
export type BetaSchedule = "linear" | "scaled_linear" | "squaredcos_cap_v2" | "exp" | "laplace" | "sigmoid";

/** The keys that decide β_t, the variance of the noise that training added at each timestep. */
export interface BetaConfig {
  /** The number of timesteps in training. */
  num_train_timesteps: number;
  /** The first β. */
  beta_start: number;
  /** The last β. */
  beta_end: number;
  /** The course of β between them. */
  beta_schedule: BetaSchedule;
  /** A β for each timestep, instead of a schedule. */
  trained_betas: number[] | null;
  /** Ends at pure noise (Lin et al. 2023). */
  rescale_betas_zero_snr: boolean;
}

/**
 * The schema of BetaConfig, with the schedules that nearly all classes know; rescale_betas_zero_snr is for
 * those to add that read it.
 */
export const betaConfig = {
  num_train_timesteps: z.int().positive().default(1000),
  beta_start: z.number().min(0).max(1).default(0.0001),
  beta_end: z.number().min(0).max(1).default(0.02),
  beta_schedule: z.enum(["linear", "scaled_linear", "squaredcos_cap_v2"]).default("linear"),
  trained_betas: z.array(z.number()).nullable().default(null),
};

/** The ends of β that Stable Diffusion was trained with, as some classes have them for defaults. */
export const latentBetas = {
  beta_start: betaConfig.beta_start.unwrap().default(0.00085),
  beta_end: betaConfig.beta_end.unwrap().default(0.012),
};

const schedules: Record<BetaSchedule, (config: BetaConfig) => Float32Array> = {
  linear: (c) => linspaceF32(c.beta_start, c.beta_end, c.num_train_timesteps),
  /** Linear in √β, as latent diffusion was trained. */
  scaled_linear: (c) =>
    linspaceF32(Math.sqrt(c.beta_start), Math.sqrt(c.beta_end), c.num_train_timesteps).map((root) =>
      root * root
    ),
  /** ᾱ follows a squared cosine (Nichol & Dhariwal 2021). */
  squaredcos_cap_v2: (c) =>
    betasOf((t) => Math.cos((t + 0.008) / 1.008 * Math.PI / 2) ** 2, c.num_train_timesteps),
  /** ᾱ falls exponentially, to e^−12. */
  exp: (c) => betasOf((t) => Math.exp(-12 * t), c.num_train_timesteps),
  /** √ᾱ where log SNR is Laplace distributed over t (Hang et al. 2024). */
  laplace: (c) => betasOf(laplaceAlphaBar, c.num_train_timesteps),
  /** The logistic function from −6 to 6, stretched (Xu et al. 2022, GeoDiff). */
  sigmoid: (c) => {
    const range = Math.fround(c.beta_end - c.beta_start);
    return linspaceF32(-6, 6, c.num_train_timesteps)
      .map((x) => 1 + Math.fround(Math.exp(-x)))
      .map((x) => Math.fround(1 / x) * range)
      .map((x) => x + Math.fround(c.beta_start));
  },
};

/**
 * ᾱ_t = Π (1 − β_s) for s ≤ t: how much of the image's variance is left at timestep t. Rounded as in torch.
 */
export function alphasCumprod(config: BetaConfig): Float32Array {
  const alphas = trainedBetas(config).map((beta) => 1 - beta);
  return config.rescale_betas_zero_snr ? cumprod(zeroTerminalSnr(alphas)) : cumprod(alphas);
}

function trainedBetas(config: BetaConfig): Float32Array {
  const { trained_betas, num_train_timesteps, beta_schedule } = config;
  if (trained_betas === null) return schedules[beta_schedule](config);
  if (trained_betas.length >= num_train_timesteps) return Float32Array.from(trained_betas);
  throw new RangeError(
    `Cannot use trained_betas: expected num_train_timesteps = ${num_train_timesteps} numbers, ` +
      `got ${trained_betas.length}`,
  );
}

/** β_t = 1 − ᾱ(t + 1) / ᾱ(t), at most 0.999, from a function of time in [0, 1]. */
function betasOf(alphaBar: (t: number) => number, count: number): Float32Array {
  return new Float32Array(count).map((_, i) =>
    Math.min(1 - alphaBar((i + 1) / count) / alphaBar(i / count), 0.999)
  );
}

function laplaceAlphaBar(t: number): number {
  const logSnr = -0.5 * (t > 0.5 ? -1 : 1) * Math.log(1 - 2 * Math.abs(0.5 - t) + 1e-6);
  return Math.sqrt(1 / (1 + Math.exp(-logSnr)));
}

/**
 * Shifts and stretches √ᾱ so that it ends at 0 (Lin et al. 2023, algorithm 1,
 * https://arxiv.org/abs/2305.08891).
 */
function zeroTerminalSnr(alphas: Float32Array): Float32Array {
  const roots = cumprod(alphas).map(Math.sqrt);
  const [first, last] = [roots[0], roots[roots.length - 1]] as [number, number];
  const stretch = Math.fround(first / Math.fround(first - last));
  const bars = roots.map((root) => root - last).map((root) => root * stretch).map((root) => root * root);
  const betas = bars.map((bar, i) => i === 0 ? bar : bar / bars[i - 1]!).map((alpha) => 1 - alpha);
  return betas.map((beta) => 1 - beta); // through β, for its rounding
}

/** Running product in double precision, as torch accumulates f32 on the CPU. */
function cumprod(values: Float32Array): Float32Array {
  let product = 1;
  return values.map((value) => product *= value);
}
