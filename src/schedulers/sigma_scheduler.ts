import { z } from "zod";
import { type Tensor, weightedSum } from "../tensor/mod.ts";
import type { BetaConfig } from "./betas.ts";
import { alphaConfig, type PredictionType } from "./config.ts";
import { linspace } from "../core/math.ts";
import { NoiseLevelScheduler } from "./noise_level_scheduler.ts";
import { checkedCount, checkedFalling } from "./schedule.ts";
import {
  chosenSpreads,
  interpolate,
  type SigmaConfig,
  type SigmaTable,
  sigmaTable,
  sigmaToTimestep,
  spreadSigmas,
} from "./sigmas.ts";
import { spacedTimesteps, type TimestepConfig } from "./timesteps.ts";

const f32 = Math.fround;

/** The keys that the schedulers over σ share. */
export interface VarianceExplodingConfig extends Omit<BetaConfig, "rescale_betas_zero_snr">, TimestepConfig {
  /** What the model predicts. */
  prediction_type: PredictionType;
}

const { num_train_timesteps, beta_start, beta_end, trained_betas, prediction_type, steps_offset } =
  alphaConfig;

/** The schema of VarianceExplodingConfig. */
export const varianceExplodingConfig = {
  num_train_timesteps,
  beta_start,
  beta_end,
  beta_schedule: z.enum(["linear", "scaled_linear", "squaredcos_cap_v2"]).default("linear"),
  trained_betas,
  prediction_type,
  timestep_spacing: z.enum(["linspace", "leading", "trailing"]).default("linspace"),
  steps_offset,
};

/** The ends of β that Stable Diffusion was trained with, as some classes have them for defaults. */
export const latentBetas = {
  beta_start: beta_start.unwrap().default(0.00085),
  beta_end: beta_end.unwrap().default(0.012),
};

/** Timesteps, and the noise levels there. */
export interface Levels {
  /** What the model is told. */
  timesteps: number[];
  /** σ of each. */
  sigmas: number[];
}

/**
 * A scheduler for x = x_0 + σ ε (Karras et al. 2022, https://arxiv.org/abs/2206.00364), whose model was
 * trained on x / √(σ² + 1) at whole timesteps.
 */
export abstract class SigmaScheduler<Config extends VarianceExplodingConfig>
  extends NoiseLevelScheduler<Config> {
  /** What training did at each timestep. */
  protected readonly table: SigmaTable;

  /**
   * Checks the config and makes the table;
   * a class that knows zero terminal SNR says whether the config wants it.
   */
  protected constructor(schema: z.ZodType<Config>, config: object, zeroSnr?: (config: Config) => boolean) {
    super(schema, config);
    const rescale_betas_zero_snr = zeroSnr?.(this.config) ?? false;
    this.table = sigmaTable({ ...this.config, rescale_betas_zero_snr });
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

  /** σ of the sample at an index of the timesteps. */
  protected sigmaAt(index: number): number {
    return this.sigmas[index]!;
  }

  /** x = x_0 + σ ε. */
  protected override weightsAt(sigma: number): [image: number, noise: number] {
    return [1, sigma];
  }

  /** x̂_0 from what the model predicted at σ. */
  protected predictOriginal(modelOutput: Tensor, sigma: number, sample: Tensor): Tensor {
    switch (this.config.prediction_type) {
      case "epsilon":
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

  /**
   * `count` timesteps as the config spaces them, in f32;
   * unlike those of other schedulers they need not be whole.
   */
  protected spacedTimesteps(count: number): number[] {
    const { num_train_timesteps: T, timestep_spacing } = this.config;
    checkedCount(count, T);
    if (timestep_spacing !== "linspace") return spacedTimesteps(this.config, count);
    return linspace(0, T - 1, count).map(f32).reverse();
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
