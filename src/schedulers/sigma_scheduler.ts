import type { z } from "zod";
import { interpolate } from "../core/math.ts";
import { type Tensor, weightedSum } from "../tensor/mod.ts";
import { type BetaConfig, betaConfig } from "./betas.ts";
import { type PredictionType, predictionType } from "./model_output.ts";
import { Scheduler } from "./scheduler.ts";
import type { NoiseWeights } from "./step.ts";
import {
  chosenSpreads,
  type Levels,
  type SigmaConfig,
  type SigmaTable,
  sigmaTable,
  sigmaToTimestep,
  spreadSigmas,
} from "./sigmas.ts";
import { checkedFalling, spacedTimesteps, type TimestepConfig, timestepConfig } from "./timesteps.ts";

const f32 = Math.fround;

/** The keys that the schedulers over σ share. */
export interface SigmaSchedulerConfig extends Omit<BetaConfig, "rescale_betas_zero_snr">, TimestepConfig {
  /** The kind of the model's output; of a flow, which KDiffusionScheduler knows, the velocity ε − x_0. */
  prediction_type: PredictionType | "flow_prediction";
}

/** The keys of those whose model was trained on x = x_0 + σ ε only. */
export interface VarianceExplodingConfig extends SigmaSchedulerConfig {
  /** The kind of the model's output. */
  prediction_type: PredictionType;
}

/** The schema of VarianceExplodingConfig. */
export const varianceExplodingConfig = { ...betaConfig, prediction_type: predictionType, ...timestepConfig };

/**
 * A scheduler for x = x_0 + σ ε (Karras et al. 2022, https://arxiv.org/abs/2206.00364), whose model was
 * trained on x / √(σ² + 1) at whole timesteps.
 */
export abstract class SigmaScheduler<Config extends SigmaSchedulerConfig> extends Scheduler<Config> {
  /** ᾱ and σ at each timestep of training. */
  protected readonly table: SigmaTable;

  /** Checks the config and makes the table. */
  protected constructor(schema: z.ZodType<Config>, config: object, { knowsZeroSnr = false } = {}) {
    super(schema, config);
    const { rescale_betas_zero_snr = false } = this.config as Partial<BetaConfig>;
    this.table = sigmaTable({
      ...this.config,
      rescale_betas_zero_snr: rescale_betas_zero_snr && knowsZeroSnr, // most classes ignore the key, as in diffusers
    });
  }

  /**
   * Standard deviation of the noise to begin with: the largest σ, and where timesteps lead, that of x itself.
   */
  override get initNoiseSigma(): number {
    const max = Math.max(...this.sigmas);
    return this.config.timestep_spacing === "leading" ? f32(rootOfSquarePlusOne(max)) : max;
  }

  /** The sample at unit variance, as the model was trained. */
  override scaleModelInput(sample: Tensor, t: number): Tensor {
    return sample.mul(1 / rootOfSquarePlusOne(this.sigmaAt(this.enter(t))));
  }

  /** σ at each of the timesteps, then where the last step ends. */
  get sigmas(): number[] {
    return this.visitedSigmas;
  }

  /** σ of the sample at an index of the timesteps. */
  protected sigmaAt(index: number): number {
    return this.sigmas[index]!;
  }

  /** x = x_0 + σ ε. */
  protected override noiseWeights(t: number): NoiseWeights {
    return [1, this.sigmas[this.indexForTimestep(t)]!];
  }

  /** x̂_0 from what the model predicted at σ. */
  protected predictOriginal(modelOutput: Tensor, sigma: number, sample: Tensor): Tensor {
    switch (this.config.prediction_type) {
      case "epsilon":
      case "flow_prediction":
        return weightedSum([1, sample], [-sigma, modelOutput]);
      case "sample":
        return modelOutput;
      case "v_prediction":
        return weightedSum(
          [1 / (sigma ** 2 + 1), sample],
          [-sigma / Math.sqrt(sigma ** 2 + 1), modelOutput],
        );
    }
  }

  /** `count` timesteps as the config spaces them; unlike those of other schedulers they need not be whole. */
  protected spacedTimesteps(count: number): number[] {
    return spacedTimesteps(this.config, count, { round: f32 });
  }

  /** Timesteps that a caller chose, in f32; where the config spreads σ itself they would go unused. */
  protected chosenTimesteps(timesteps: readonly number[], spread: SigmaConfig): number[] {
    const [chosen] = chosenSpreads(spread);
    if (chosen) throw new TypeError(`Cannot set timesteps by a list: the config spreads sigmas by ${chosen}`);
    const most = this.config.num_train_timesteps - 1;
    return checkedFalling(timesteps, "timesteps", { most, least: 0 }).map(f32);
  }

  /** σ at each timestep, or the spread that the config wants instead and the timesteps of that. */
  protected levels(
    timesteps: number[],
    spread: SigmaConfig,
    sigmas: number[] = timesteps.map((t) => interpolate(this.table.sigmas, t)),
  ): Levels {
    const range = { max: sigmas[0]!, min: sigmas[sigmas.length - 1]! };
    const instead = spreadSigmas(spread, range, timesteps.length);
    if (!instead) return { timesteps, sigmas };
    return {
      timesteps: instead.map((sigma) => sigmaToTimestep(sigma, this.table.logSigmas)),
      sigmas: instead,
    };
  }
}

/** √(σ² + 1), the deviation of x where images have unit variance. */
function rootOfSquarePlusOne(sigma: number): number {
  return Math.sqrt(f32(f32(sigma ** 2) + 1));
}
