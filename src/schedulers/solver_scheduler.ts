import { z } from "zod";
import { interpolate, roundHalfEven } from "../core/math.ts";
import { flag } from "../io/config.ts";
import { type Tensor, type Term, weightedSum } from "../tensor/mod.ts";
import { type BetaConfig, betaConfig } from "./betas.ts";
import {
  type PredictionType,
  predictionType,
  threshold,
  type ThresholdConfig,
  thresholdConfig,
} from "./model_output.ts";
import type { StepWeights } from "./dpm_weights.ts";
import { Scheduler } from "./scheduler.ts";
import { type NoiseWeights, type StepOutput, stepOutput } from "./step.ts";
import {
  chosenSpreads,
  type FinalSigmas,
  flowSigmas,
  type Levels,
  type NoiseLevel,
  noiseLevel,
  type SigmaConfig,
  sigmaConfig,
  type SigmaTable,
  sigmaTable,
  sigmaToTimestep,
  spreadSigmas,
} from "./sigmas.ts";
import {
  checkedCount,
  checkedTimesteps,
  spacedTimesteps,
  type TimestepConfig,
  timestepConfig,
  type TimestepSpacing,
} from "./timesteps.ts";

/** The keys of a solver's noise levels and of what its model predicts. */
export interface SolverLevelsConfig extends BetaConfig, TimestepConfig, SigmaConfig, ThresholdConfig {
  /** The course of β; the solvers know these three. */
  beta_schedule: "linear" | "scaled_linear" | "squaredcos_cap_v2";
  /** The kind of the model's output; of a flow x_σ = (1 − σ) x_0 + σ ε the velocity ε − x_0. */
  prediction_type: PredictionType | "flow_prediction";
  /** Falls back to lower orders in the last steps. */
  lower_order_final: boolean;
  /** The model was trained on a flow: α = 1 − σ. */
  use_flow_sigmas: boolean;
  /** Moves the noise levels of a flow towards 1. */
  flow_shift: number;
}

/** The keys that the solvers of the diffusion ODE share. */
export interface SolverConfig extends SolverLevelsConfig {
  /** The highest order of a step: how many model outputs it uses. */
  solver_order: number;
  /** Takes the shift from each picture's size, which setTimesteps() takes as `mu`. */
  use_dynamic_shifting: boolean;
  /** σ where the last step ends. */
  final_sigmas_type: FinalSigmas;
}

/** The schema of SolverLevelsConfig. */
export const solverLevelsConfig = {
  ...betaConfig,
  rescale_betas_zero_snr: flag(false),
  prediction_type: z.enum([...predictionType.unwrap().options, "flow_prediction"]).default("epsilon"),
  ...timestepConfig,
  ...thresholdConfig,
  ...sigmaConfig,
  lower_order_final: flag(true),
  use_flow_sigmas: flag(false),
  flow_shift: z.number().positive().default(1),
};

/** The schema of SolverConfig. */
export const solverConfig = {
  ...solverLevelsConfig,
  solver_order: z.int().min(1).max(3).default(2),
  use_dynamic_shifting: flag(false),
  final_sigmas_type: z.enum(["zero", "sigma_min"]).default("zero"),
};

/** A scheduler that solves the diffusion ODE or SDE from one noise level to the next. */
export abstract class SolverScheduler<Config extends SolverLevelsConfig> extends Scheduler<Config> {
  /** ᾱ and σ at each timestep of training. */
  protected readonly table: SigmaTable;
  #levels: NoiseLevel[] = [];

  /** Checks the config and makes the table of noise levels. */
  protected constructor(schema: z.ZodType<Config>, config: object, { knowsZeroSnr = true } = {}) {
    super(schema, config);
    const { rescale_betas_zero_snr } = this.config;
    this.table = sigmaTable({
      ...this.config,
      rescale_betas_zero_snr: rescale_betas_zero_snr && knowsZeroSnr, // some classes ignore the key, as in diffusers
    });
  }

  /** σ at each of the timesteps, then where the last step ends. */
  get sigmas(): number[] {
    return this.visitedSigmas;
  }

  /** Sets timesteps, whole, and noise levels; where the last step ends is not among `sigmas`. */
  protected visitLevels({ timesteps, sigmas }: Levels, finalSigma: number): void {
    this.visit(timesteps.map(Math.trunc), [...sigmas, finalSigma].map(Math.fround));
    this.#levels = this.sigmas.map((sigma) => noiseLevel(sigma, this.config.use_flow_sigmas));
  }

  /** α and σ of x = α x_0 + σ ε. */
  protected override noiseWeights(t: number): NoiseWeights {
    const { alpha, sigma } = this.level(this.indexForTimestep(t));
    return [alpha, sigma];
  }

  /** The level at an index of timesteps; one more is where the last step ends. */
  protected level(index: number): NoiseLevel {
    return this.#levels[index]!;
  }

  /** Levels of the steps up to an index, the newest first. */
  protected levelsBefore(index: number, count: number): NoiseLevel[] {
    return Array.from({ length: count }, (_, i) => this.level(index - i));
  }

  /** `count` levels where the config spreads σ itself instead of the timesteps. */
  protected spreadLevels(count: number, roundKarras = true): Levels | undefined {
    const { sigmas: all, logSigmas } = this.table;
    const sigmas = spreadSigmas(this.config, { max: all[all.length - 1]!, min: all[0]! }, count);
    if (!sigmas) return undefined;
    checkedCount(count, this.config.num_train_timesteps);
    const timesteps = sigmas.map((sigma) => sigmaToTimestep(sigma, logSigmas));
    const round = this.config.use_karras_sigmas && roundKarras;
    return { sigmas, timesteps: round ? timesteps.map(roundHalfEven) : timesteps };
  }

  /** `count` levels of a flow, shifted towards 1, without the clean end; t = σ · num_train_timesteps. */
  protected flowLevels(count: number, shift: number): Levels {
    const T = this.config.num_train_timesteps;
    const sigmas = flowSigmas(count, shift, T);
    return { sigmas, timesteps: sigmas.map((sigma) => sigma * T) };
  }

  /** The levels of `count` timesteps below `end`, as the config spaces them or as asked for. */
  protected spacedLevels(
    count: number,
    end?: number,
    timestep_spacing: TimestepSpacing = this.config.timestep_spacing,
  ): Levels {
    const config = { ...this.config, timestep_spacing };
    return this.#levelsOf(spacedTimesteps(config, count, { end, stopBeforeZero: true }));
  }

  /** The levels of timesteps that a caller chose; where the config spreads σ itself they would go unused. */
  protected chosenLevels(timesteps: readonly number[]): Levels {
    const config = this.config as Config & { use_lu_lambdas?: boolean };
    const others = (["use_lu_lambdas", "use_flow_sigmas"] as const).filter((key) => config[key]);
    const [other] = [...chosenSpreads(config), ...others];
    if (!other) return this.#levelsOf(checkedTimesteps(config, timesteps));
    throw new TypeError(
      `Cannot set timesteps: expected steps, as the config has ${other}, got a list of timesteps`,
    );
  }

  /** The levels that training had at these timesteps. */
  #levelsOf(timesteps: number[]): Levels {
    return { timesteps, sigmas: timesteps.map((t) => interpolate(this.table.sigmas, t)) };
  }

  /** The shift of the config, or e^mu where the size of the picture decides. */
  protected flowShift(mu: number | undefined): number {
    if (mu === undefined) return this.config.flow_shift;
    const { use_dynamic_shifting } = this.config as Partial<SolverConfig>;
    if (use_dynamic_shifting) return Math.exp(mu);
    throw new TypeError(
      "Cannot set timesteps with mu: expected use_dynamic_shifting in the config, got false",
    );
  }

  /** Result of step(). */
  protected output(prevSample: Tensor, modelOutput: Tensor, index: number, sample: Tensor): StepOutput {
    return stepOutput(prevSample, () => this.predictOriginal(modelOutput, index, sample));
  }

  /** The function that a method integrates: x̂_0, or ε̂. */
  protected convertModelOutput(
    modelOutput: Tensor,
    index: number,
    sample: Tensor,
    toOriginal: boolean,
  ): Tensor {
    return toOriginal
      ? this.predictOriginal(modelOutput, index, sample)
      : this.predictNoise(modelOutput, index, sample);
  }

  /** x̂_0 from what the model predicted at an index, thresholded if the config says so. */
  protected predictOriginal(modelOutput: Tensor, index: number, sample: Tensor): Tensor {
    const x0 = this.#original(modelOutput, this.level(index), sample);
    return this.config.thresholding ? threshold(x0, this.config) : x0;
  }

  /** ε̂ from what the model predicted at an index. */
  protected predictNoise(modelOutput: Tensor, index: number, sample: Tensor): Tensor {
    const { thresholding, prediction_type } = this.config;
    const { alpha, sigma, ratio } = this.level(index);
    if (prediction_type === "epsilon" && !thresholding) return modelOutput;
    if (prediction_type === "v_prediction" && !thresholding) {
      return weightedSum([alpha, modelOutput], [sigma, sample]);
    }
    const x0 = this.predictOriginal(modelOutput, index, sample);
    const beside = prediction_type === "flow_prediction" ? ratio : sigma; // equal with use_flow_sigmas; without it diffusers takes σ / α
    return weightedSum([1 / beside, sample], [-alpha / beside, x0]);
  }

  #original(modelOutput: Tensor, { alpha, sigma, ratio }: NoiseLevel, sample: Tensor): Tensor {
    switch (this.config.prediction_type) {
      case "epsilon":
        return weightedSum([1 / alpha, sample], [-sigma / alpha, modelOutput]);
      case "sample":
        return modelOutput;
      case "v_prediction":
        return weightedSum([alpha, sample], [-sigma, modelOutput]);
      case "flow_prediction":
        return weightedSum([1, sample], [-ratio, modelOutput]);
    }
  }
}

/** The step itself, one weighted sum; of the outputs the newest is the first. */
export function applyWeights(
  weights: StepWeights,
  sample: Tensor,
  outputs: readonly Tensor[],
  noise?: Tensor,
): Tensor {
  const terms: Term[] = [[weights.sample, sample]];
  weights.outputs.forEach((weight, i) => terms.push([weight, outputs[i]!]));
  if (noise) terms.push([weights.noise, noise]);
  return weightedSum(...terms);
}
