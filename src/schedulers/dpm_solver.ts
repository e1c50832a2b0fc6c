import { z } from "zod";
import { linspace, roundHalfEven } from "../core/math.ts";
import { absentIfNull, flag } from "../io/config.ts";
import { randn } from "../random/mod.ts";
import type { Tensor } from "../tensor/mod.ts";
import { choice } from "./config.ts";
import { type DPMSolverMethod, multistepWeights, singlestepWeights } from "./dpm_weights.ts";
import type { StepOptions, StepOutput } from "./step.ts";
import { finalSigma, type Levels, sigmaToTimestep } from "./sigmas.ts";
import { applyWeights, type SolverConfig, solverConfig, SolverScheduler } from "./solver_scheduler.ts";
import { readSchedule, type Schedule } from "./timesteps.ts";

/**
 * The keys that both DPM-Solvers have besides those of all solvers.
 */
export interface DPMSolverConfig extends SolverConfig, ClippedConfig {}

/** The keys of DPM-Solver that SA-Solver has too. */
export interface ClippedConfig {
  /** The smallest log SNR to visit; near −∞ the cosine schedule is unstable. */
  lambda_min_clipped: number;
  /** A model that learned its variance returns it as further channels, which are left out. */
  variance_type: "learned" | "learned_range" | null;
}

/** The schema of ClippedConfig. */
export const clippedConfig = {
  lambda_min_clipped: z.union([z.literal(-Infinity), z.number()]).default(-Infinity),
  variance_type: z.enum(["learned", "learned_range"]).nullable().default(null).catch(null),
};

/** The keys of a DPMSolverMultistep scheduler_config.json. */
export interface DPMSolverMultistepConfig extends DPMSolverConfig, DPMSolverMethod {
  /** Takes the last step in order 1. */
  euler_at_final: boolean;
  /** Spreads the levels evenly in λ. */
  use_lu_lambdas: boolean;
}

/** The keys of a DPMSolverSinglestep scheduler_config.json. */
export interface DPMSolverSinglestepConfig extends DPMSolverConfig, DPMSolverMethod {
  /** Integrates over the noise or the image, as in DPMSolverMethod; not over the noise by an SDE. */
  algorithm_type: "dpmsolver" | "dpmsolver++" | "sde-dpmsolver++";
}

const dpmSolverConfig = {
  ...solverConfig,
  ...clippedConfig,
  solver_type: choice(["midpoint", "heun"], { logrho: "midpoint", bh1: "midpoint", bh2: "midpoint" }),
};

/** Steps over the noise must not end at σ = 0, where λ is infinite. */
const endsAboveZero = ({ algorithm_type, final_sigmas_type }: DPMSolverMethod & DPMSolverConfig) =>
  algorithm_type.endsWith("++") || final_sigmas_type === "sigma_min";
const unlessPlusPlus = {
  path: ["final_sigmas_type"],
  error: '"sigma_min", as algorithm_type is not "dpmsolver++"',
};

const multistepSchema = z.looseObject({
  ...dpmSolverConfig,
  algorithm_type: choice(["dpmsolver++", "dpmsolver", "sde-dpmsolver", "sde-dpmsolver++"], {
    deis: "dpmsolver++",
  }),
  euler_at_final: flag(false),
  use_lu_lambdas: z.boolean().nullish().transform(Boolean),
}).refine(endsAboveZero, unlessPlusPlus);

const singlestepSchema = z.looseObject({
  ...dpmSolverConfig,
  timestep_spacing: absentIfNull(solverConfig.timestep_spacing),
  steps_offset: absentIfNull(solverConfig.steps_offset),
  lower_order_final: flag(false),
  algorithm_type: choice(["dpmsolver++", "dpmsolver", "sde-dpmsolver++"], { deis: "dpmsolver++" }),
}).refine(endsAboveZero, unlessPlusPlus);

/** Options of a DPM-Solver's step(). */
export interface DPMSolverStepOptions extends StepOptions {
  /** The noise that a step of the SDE adds, instead of a generator. */
  varianceNoise?: Tensor | undefined;
}

/** DPM-Solver++ (Lu et al. 2022, https://arxiv.org/abs/2211.01095) over the outputs of the last steps. */
export class DPMSolverMultistepScheduler extends SolverScheduler<DPMSolverMultistepConfig> {
  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<DPMSolverMultistepConfig> = {}) {
    super(multistepSchema, config);
  }

  /** Spreads so many timesteps over those of training, or takes a falling list of them. */
  setTimesteps(schedule: number | Schedule): void {
    const { steps = 0, timesteps, mu } = readSchedule(schedule, ["steps", "timesteps", "mu"]);
    const levels = timesteps ? this.chosenLevels(timesteps) : this.#spread(steps, this.flowShift(mu));
    this.visitLevels(levels, finalSigma(this.config.final_sigmas_type, this.table.sigmas));
  }

  /** One step of order 1 to solver_order, as high as the steps before allow. */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: DPMSolverStepOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options, ["varianceNoise"]);
    const { algorithm_type, solver_order } = this.config;
    const index = this.enter(t);
    const mean = withoutVariance(modelOutput, sample, this.config);
    const output = this.convertModelOutput(mean, index, sample, algorithm_type.endsWith("++"));
    const outputs = [output, ...this.remembered]; // the newest first
    const levels = this.levelsBefore(index, this.#order(index, outputs.length));
    const weights = multistepWeights(this.config, this.level(index + 1), levels);
    const prevSample = applyWeights(weights, sample, outputs, noiseOf(algorithm_type, sample, options));
    this.advance(outputs.slice(0, solver_order - 1));
    return this.output(prevSample, mean, index, sample);
  }

  #spread(count: number, flowShift: number): Levels {
    const { use_karras_sigmas, use_lu_lambdas, use_flow_sigmas, beta_schedule } = this.config;
    const round = beta_schedule !== "squaredcos_cap_v2";
    if (use_lu_lambdas && !use_karras_sigmas) return this.#luLevels(count, round);
    return this.spreadLevels(count, round) ??
      (use_flow_sigmas
        ? this.flowLevels(count, flowShift)
        : this.spacedLevels(count, clippedEnd(this.config, this.table.alphasCumprod)));
  }

  /** Even in log SNR (Lu et al. 2022): λ = −log σ where the image has unit scale. */
  #luLevels(count: number, round: boolean): Levels {
    const { logSigmas } = this.table;
    const [low, high] = [logSigmas[0], logSigmas[logSigmas.length - 1]] as [number, number];
    const sigmas = linspace(0, 1, count).map((ramp) => Math.exp(high + ramp * (low - high)));
    const timesteps = sigmas.map((sigma) => sigmaToTimestep(sigma, logSigmas));
    return { sigmas, timesteps: round ? timesteps.map(roundHalfEven) : timesteps };
  }

  /** The order of a step: the last ones may be lower, where little is left to extrapolate to. */
  #order(index: number, outputs: number): number {
    const { solver_order, euler_at_final, lower_order_final, final_sigmas_type } = this.config;
    const left = this.timesteps.length - index;
    const lower = lower_order_final && this.timesteps.length < 15;
    if (left === 1 && (euler_at_final || lower || final_sigmas_type === "zero")) return 1;
    return Math.min(solver_order, outputs, left === 2 && lower ? 2 : Infinity);
  }
}

/**
 * DPM-Solver (Lu et al. 2022, https://arxiv.org/abs/2206.00927):
 * groups of 1 to solver_order steps, each from the start of its group.
 */
export class DPMSolverSinglestepScheduler extends SolverScheduler<DPMSolverSinglestepConfig> {
  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<DPMSolverSinglestepConfig> = {}) {
    super(singlestepSchema, config, { knowsZeroSnr: false });
  }

  /** Spreads so many timesteps over those of training, or takes a falling list of them. */
  setTimesteps(schedule: number | Schedule): void {
    const { steps = 0, timesteps, mu } = readSchedule(schedule, ["steps", "timesteps", "mu"]);
    const levels = timesteps ? this.chosenLevels(timesteps) : this.#spread(steps, this.flowShift(mu));
    this.visitLevels(levels, finalSigma(this.config.final_sigmas_type, this.table.sigmas));
  }

  /** One step further from the start of the group, in the order of its place there. */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: StepOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options);
    const { algorithm_type, solver_order } = this.config;
    const index = this.enter(t);
    const mean = withoutVariance(modelOutput, sample, this.config);
    const [before, ...earlier] = this.remembered as readonly [Tensor, ...Tensor[]];
    const output = this.convertModelOutput(mean, index, sample, algorithm_type.endsWith("++"));
    const outputs = [output, ...earlier]; // the newest first
    const order = Math.min(this.#orders()[index]!, outputs.length);
    const start = order === 1 ? sample : before;
    const weights = singlestepWeights(this.config, this.level(index + 1), this.levelsBefore(index, order));
    const prevSample = applyWeights(weights, start, outputs, noiseOf(algorithm_type, sample, options));
    this.advance([start, ...outputs.slice(0, solver_order - 1)]);
    return this.output(prevSample, mean, index, sample);
  }

  #spread(count: number, flowShift: number): Levels {
    return this.spreadLevels(count) ??
      (this.config.use_flow_sigmas
        ? this.flowLevels(count, flowShift)
        : this.spacedLevels(count, clippedEnd(this.config, this.table.alphasCumprod), "linspace"));
  }

  /**
   * The order of each step: 1, 2, 1, 2, … or 1, 2, 3, 1, 2, 3, …
   * It is lower at the end if the last group is not full.
   */
  #orders(): number[] {
    const { solver_order, lower_order_final, final_sigmas_type } = this.config;
    const count = this.timesteps.length;
    const orders = Array.from({ length: count }, (_, i) => i % solver_order + 1);
    const lower = lower_order_final || count % solver_order !== 0 || final_sigmas_type === "zero";
    if (lower && solver_order === 3 && count % 3 === 0) orders.splice(-3, 3, 1, 2, 1);
    if (lower && solver_order === 2 && count % 2 === 0) orders.splice(-2, 2, 1, 1);
    if (final_sigmas_type === "zero") orders[count - 1] = 1;
    return orders;
  }
}

/** A model that learned its variance returns it as further channels: [B, 2C, …] → [B, C, …]. */
export function withoutVariance(
  modelOutput: Tensor,
  sample: Tensor,
  { variance_type }: ClippedConfig,
): Tensor {
  return variance_type ? modelOutput.slice(1, 0, sample.shape[1]) : modelOutput;
}

/** The noise of a step of the SDE; the ODE has none. */
export function noiseOf(
  algorithm: DPMSolverMethod["algorithm_type"],
  sample: Tensor,
  { generator, varianceNoise }: DPMSolverStepOptions,
): Tensor | undefined {
  return algorithm.startsWith("sde-") ? varianceNoise ?? randn(sample.shape, { generator }) : undefined;
}

/** The first timestep whose λ = log √ᾱ − log √(1−ᾱ) is clipped. */
export function clippedEnd(
  config: ClippedConfig & { num_train_timesteps: number },
  alphasCumprod: Float32Array,
): number {
  const log = (x: Float32Array) => x.map(Math.sqrt).map(Math.log);
  const [signal, noise] = [log(alphasCumprod), log(alphasCumprod.map((bar) => 1 - bar))];
  const lambdas = signal.map((x, i) => x - noise[i]!);
  return config.num_train_timesteps - lambdas.filter((x) => x < config.lambda_min_clipped).length;
}
