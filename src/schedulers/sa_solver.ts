import { z } from "zod";
import { flag } from "../io/config.ts";
import { randn } from "../random/mod.ts";
import type { Tensor } from "../tensor/mod.ts";
import { type ClippedConfig, clippedConfig, clippedEnd, withoutVariance } from "./dpm_solver.ts";
import { saWeights } from "./sa_weights.ts";
import type { NoiseWeights, StepOptions, StepOutput } from "./step.ts";
import {
  applyWeights,
  type SolverLevelsConfig,
  solverLevelsConfig,
  SolverScheduler,
} from "./solver_scheduler.ts";
import { readSchedule, type Schedule } from "./timesteps.ts";

/** The keys of an SASolver scheduler_config.json. */
export interface SASolverConfig extends SolverLevelsConfig, ClippedConfig {
  /** The highest order of the predictor: how many model outputs it uses. */
  predictor_order: number;
  /** The highest order of the corrector, which has the new model output besides. */
  corrector_order: number;
  /** Integrates over the image that the model sees, or over the noise. */
  algorithm_type: "data_prediction" | "noise_prediction";
  /** τ at a timestep, the share of new noise; 1 from 200 to 800 and 0 elsewhere when left out. */
  tau_func: ((t: number) => number) | null;
}

const order = z.int().min(1).max(4).default(2);
const schema = z.looseObject({
  ...solverLevelsConfig,
  ...clippedConfig,
  predictor_order: order,
  corrector_order: order,
  algorithm_type: z.enum(["data_prediction", "noise_prediction"]).default("data_prediction"),
  lower_order_final: flag(true),
  tau_func: z.custom<(t: number) => number>((f) => typeof f === "function", {
    error: "a function of the timestep, or null",
  }).nullable().default(null),
}).refine(
  ({ algorithm_type, prediction_type }) =>
    algorithm_type === "data_prediction" || prediction_type !== "flow_prediction",
  { path: ["algorithm_type"], error: '"data_prediction", as prediction_type is "flow_prediction"' },
);

/**
 * SA-Solver (Xue et al. 2023, https://arxiv.org/abs/2309.05019):
 * stochastic steps of Adams-Bashforth, corrected by Adams-Moulton.
 */
export class SASolverScheduler extends SolverScheduler<SASolverConfig> {
  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<SASolverConfig> = {}) {
    super(schema, config, { knowsZeroSnr: false });
  }

  /** Spreads so many timesteps over those of training. The last step ends at the smallest σ, not at 0. */
  setTimesteps(schedule: number | Schedule): void {
    const { steps = 0 } = readSchedule(schedule, ["steps"]);
    const { use_flow_sigmas, flow_shift } = this.config;
    const spread = this.spreadLevels(steps) ??
      (use_flow_sigmas ? this.flowLevels(steps, flow_shift) : undefined);
    const levels = spread ?? this.spacedLevels(steps, clippedEnd(this.config, this.table.alphasCumprod));
    this.visitLevels(levels, spread ? spread.sigmas.at(-1)! : this.table.sigmas[0]!);
  }

  /** Corrects the sample with what the model says of it, then steps on with new noise. */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: StepOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options);
    const { predictor_order, corrector_order } = this.config;
    const index = this.enter(t);
    const mean = withoutVariance(modelOutput, sample, this.config);
    const output = this.convertModelOutput(mean, index, sample, this.#toOriginal);
    const [lastSample, lastNoise, ...before] = this.remembered; // of the step before, its outputs the newest first
    const outputs = [output, ...before];
    const corrected = lastSample ? this.#correct(index, lastSample, outputs, lastNoise!) : sample;

    const noise = randn(sample.shape, { generator: options.generator });
    const order = Math.min(predictor_order, outputs.length, this.#most(index));
    const method = { toOriginal: this.#toOriginal, tau: this.#tau(t) };
    const nodes = this.levelsBefore(index, order);
    const prevSample = applyWeights(
      saWeights(method, this.level(index + 1), nodes[0]!, nodes),
      corrected,
      outputs,
      noise,
    );
    const kept = Math.max(predictor_order, corrector_order - 1);
    this.advance([corrected, noise, ...outputs.slice(0, kept)]);
    return this.output(prevSample, mean, index, sample);
  }

  /** The step before once more, with its start and noise, now that the output at its end is known. */
  #correct(index: number, lastSample: Tensor, outputs: readonly Tensor[], lastNoise: Tensor): Tensor {
    const order = Math.min(this.config.corrector_order, outputs.length, this.#most(index) + 2);
    const method = { toOriginal: this.#toOriginal, tau: this.#tau(this.timesteps[index - 1]!) };
    const weights = saWeights(
      method,
      this.level(index),
      this.level(index - 1),
      this.levelsBefore(index, order),
    );
    return applyWeights(weights, lastSample, outputs, lastNoise);
  }

  /** The order that the steps left allow. */
  #most(index: number): number {
    return this.config.lower_order_final ? this.timesteps.length - index : Infinity;
  }

  get #toOriginal(): boolean {
    return this.config.algorithm_type === "data_prediction";
  }

  #tau(t: number): number {
    const { tau_func } = this.config;
    return tau_func ? tau_func(t) : t >= 200 && t <= 800 ? 1 : 0;
  }

  /** α and σ as at timestep t of training, even where the config spreads σ; of a flow those of the step. */
  protected override noiseWeights(t: number): NoiseWeights {
    if (this.config.use_flow_sigmas) return super.noiseWeights(t);
    const bar = this.table.alphasCumprod[t]!;
    return [Math.sqrt(bar), Math.sqrt(1 - bar)];
  }
}
