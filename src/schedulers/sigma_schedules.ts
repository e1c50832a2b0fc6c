import { betaQuantile, linspace, linspaceF32, roundHalfEven } from "../core/math.ts";
import type { BetaConfig } from "./betas.ts";
import { gitsSigmas, logInterpolated } from "./gits.ts";
import { isFlow } from "./flow_match.ts";
import type { Scheduler } from "./scheduler.ts";
import { shiftedSigma, type SigmaTable, sigmaTable } from "./sigmas.ts";
import { checkedCount } from "./timesteps.ts";

const f32 = Math.fround;

/** The noise levels of training, as schedules read them. */
export interface TrainedLevels {
  /** σ at each timestep of training, rising. */
  readonly sigmas: ArrayLike<number>;
  /** σ at a timestep, perhaps between two. */
  sigmaAt(t: number): number;
  /** The timestep that stands for a σ. */
  timestepOf(sigma: number): number;
}

/** Options of sigmaSchedule(). */
export interface SigmaScheduleOptions {
  /** The exponent of "karras", 7 by default, and of "polyexponential", 1. */
  rho?: number | undefined;
  /** The coefficient of "gits", from 0.8 to 1.5 in steps of 0.05; 1.2 by default. Larger ones step further from noise. */
  coeff?: number | undefined;
}

type Spread = (levels: TrainedLevels, steps: number, options: SigmaScheduleOptions) => number[];

/** Names of schedules, as in k-diffusion and ComfyUI. */
export const SIGMA_SCHEDULES = [
  "normal",
  "karras",
  "exponential",
  "polyexponential",
  "vp",
  "sgm_uniform",
  "simple",
  "ddim_uniform",
  "beta",
  "linear_quadratic",
  "kl_optimal",
  "align_your_steps_sd1",
  "align_your_steps_sdxl",
  "align_your_steps_svd",
  "gits",
] as const;

/** A name of a schedule. */
export type SigmaScheduleName = typeof SIGMA_SCHEDULES[number];

/** Without the 0 at the end. */
const spreads: Readonly<Record<SigmaScheduleName, Spread>> = {
  normal: (levels, n) => [...evenTimesteps(levels, n)].map((t) => levels.sigmaAt(t)),
  sgm_uniform: (levels, n) => [...evenTimesteps(levels, n + 1)].slice(0, -1).map((t) => levels.sigmaAt(t)),
  karras: (levels, n, { rho = 7 }) => {
    const [high, low] = ends(levels).map((sigma) => sigma ** (1 / rho)) as [number, number];
    return ramp(n).map((part) => (high + part * (low - high)) ** rho);
  },
  exponential: (levels, n) => spreads.polyexponential(levels, n, { rho: 1 }),
  polyexponential: (levels, n, { rho = 1 }) => {
    const [high, low] = ends(levels).map(Math.log) as [number, number];
    return ramp(n).map((part) => Math.exp(low + (1 - part) ** rho * (high - low)));
  },
  /** σ of the continuous VP process, β from 0.1 to 20, at times even from 1 to 0.001 (Song et al. 2021). */
  vp: (_, n) => [...linspaceF32(1, 1e-3, n)].map((t) => Math.sqrt(Math.expm1(19.9 * t ** 2 / 2 + 0.1 * t))),
  simple: ({ sigmas }, n) =>
    Array.from({ length: n }, (_, i) => sigmas[sigmas.length - 1 - Math.trunc(i * (sigmas.length / n))]!),
  ddim_uniform: ({ sigmas }, n) => {
    const stride = Math.max(Math.floor(sigmas.length / n), 1);
    return Array.from({ length: Math.ceil((sigmas.length - 1) / stride) }, (_, i) => sigmas[1 + i * stride]!)
      .reverse();
  },
  /** Timesteps at the quantiles of a Beta(0.6, 0.6) distribution, each once (Lee et al. 2024). */
  beta: ({ sigmas }, n) => {
    const timesteps = Array.from(
      { length: n },
      (_, i) => roundHalfEven(betaQuantile(1 - i / n, 0.6) * (sigmas.length - 1)),
    );
    return [...new Set(timesteps)].map((t) => sigmas[t]!);
  },
  /** Half of the steps even over the first fortieth of the way, then quadratic (Genmo's Mochi). */
  linear_quadratic: ({ sigmas }, n) => {
    const max = sigmas[sigmas.length - 1]!;
    const [threshold, linear] = [0.025, Math.floor(n / 2)];
    if (n === 1) return [max];
    const [left, rest] = [linear - threshold * n, n - linear];
    const [a, b] = [left / (linear * rest ** 2), threshold / linear - 2 * left / rest ** 2];
    const way = (i: number) => i < linear ? i * threshold / linear : a * i ** 2 + b * i + a * linear ** 2;
    return Array.from({ length: n }, (_, i) => (1 - way(i)) * max);
  },
  /** Even in arctan σ (Sabour et al. 2024, eq. 15). */
  kl_optimal: (levels, n) => {
    const [high, low] = ends(levels).map(Math.atan) as [number, number];
    return ramp(n).map((part) => Math.tan(part * low + (1 - part) * high));
  },
  align_your_steps_sd1: (_, n) => alignedSteps(n, "sd1"),
  align_your_steps_sdxl: (_, n) => alignedSteps(n, "sdxl"),
  align_your_steps_svd: (_, n) => alignedSteps(n, "svd"),
  gits: (_, n, { coeff = 1.2 }) => gitsSigmas(n, coeff),
};

/**
 * Falling σ for so many steps, with the 0 where the last one ends: for `setTimesteps({ sigmas })`. The config of `scheduler` tells
 * the noise levels of training. "ddim_uniform" and "beta" may give a step more or fewer, as in ComfyUI.
 *
 * ```ts ignore
 * scheduler.setTimesteps({ sigmas: sigmaSchedule("kl_optimal", 20, scheduler) });
 * ```
 */
export function sigmaSchedule(
  name: SigmaScheduleName,
  steps: number,
  scheduler: Scheduler,
  options: SigmaScheduleOptions = {},
): number[] {
  const config = scheduler.config as LevelsConfig;
  const { num_train_timesteps, flow_shift, shift = flow_shift, rescale_betas_zero_snr = false } = config;
  if (isFlow(scheduler)) return spreadSteps(name, steps, flowLevels(num_train_timesteps, shift), options);
  if (!Object.hasOwn(config, "beta_start")) {
    throw new TypeError(
      `Cannot spread sigmas for ${scheduler.constructor.name}: expected a scheduler with betas or for a flow`,
    );
  }
  const levels = noiseLevels(sigmaTable({ ...config, rescale_betas_zero_snr }));
  return spreadSteps(name, steps, levels, options);
}

/** The keys of configs that tell the levels. */
interface LevelsConfig extends Omit<BetaConfig, "rescale_betas_zero_snr"> {
  readonly rescale_betas_zero_snr?: boolean;
  readonly flow_shift: number;
  readonly shift?: number;
}

/** The σ of a schedule over these levels, with the 0 at the end. */
export function spreadSteps(
  name: SigmaScheduleName,
  steps: number,
  levels: TrainedLevels,
  options: SigmaScheduleOptions = {},
): number[] {
  const spread = Object.hasOwn(spreads, name) ? spreads[name] : undefined;
  if (!spread) {
    throw new TypeError(`Cannot spread sigmas by "${name}": expected one of ${SIGMA_SCHEDULES.join(", ")}`);
  }
  return [...spread(levels, checkedCount(steps, levels.sigmas.length), options).map(f32), 0];
}

/** Levels of x = x_0 + σ ε; between two timesteps linear in log σ. */
export function noiseLevels({ sigmas, logSigmas }: Pick<SigmaTable, "sigmas" | "logSigmas">): TrainedLevels {
  return {
    sigmas,
    sigmaAt(t) {
      const low = Math.min(Math.floor(t), logSigmas.length - 1);
      const high = Math.min(low + 1, logSigmas.length - 1);
      return Math.exp((1 - (t - low)) * logSigmas[low]! + (t - low) * logSigmas[high]!);
    },
    timestepOf(sigma) {
      const distances = logSigmas.map((log) => Math.abs(Math.log(sigma) - log));
      return distances.indexOf(Math.min(...distances));
    },
  };
}

/** Levels of a flow of T timesteps, shifted towards noise. */
export function flowLevels(T: number, shift: number): TrainedLevels {
  const sigmaAt = (t: number) => f32(shiftedSigma(t / T, shift));
  return {
    sigmas: Array.from({ length: T }, (_, i) => sigmaAt(i + 1)),
    sigmaAt,
    timestepOf: (sigma) => sigma * T, // the shift is not undone, as in ComfyUI
  };
}

/** The largest and the smallest σ. */
function ends({ sigmas }: TrainedLevels): [number, number] {
  return [sigmas[sigmas.length - 1]!, sigmas[0]!];
}

/** Even from 0 to 1; of one value 0. */
function ramp(count: number): number[] {
  return count === 1 ? [0] : linspace(0, 1, count);
}

function evenTimesteps(levels: TrainedLevels, count: number): Float32Array {
  const [start, end] = ends(levels).map((sigma) => levels.timestepOf(sigma)) as [number, number];
  return count === 1 ? Float32Array.of(start) : linspaceF32(start, end, count);
}

/** Align Your Steps (Sabour et al. 2024, https://arxiv.org/abs/2404.14507) for ten steps; the last σ stands for 0. */
const ALIGNED = {
  sd1: [
    14.6146412293,
    6.4745760956,
    3.8636745985,
    2.6946151520,
    1.8841921177,
    1.3943805092,
    0.9642583904,
    0.6523686016,
    0.3977456272,
    0.1515232662,
    0.0291671582,
  ],
  sdxl: [
    14.6146412293,
    6.3184485287,
    3.7681790315,
    2.1811480769,
    1.3405244945,
    0.8620721141,
    0.5550693289,
    0.3798540708,
    0.2332364134,
    0.1114188177,
    0.0291671582,
  ],
  svd: [700, 54.5, 15.886, 7.977, 4.248, 1.789, 0.981, 0.403, 0.173, 0.034, 0.002],
} as const;

function alignedSteps(steps: number, model: keyof typeof ALIGNED): number[] {
  return logInterpolated(ALIGNED[model], steps + 1).slice(0, -1);
}
