import { z } from "zod";
import { flag } from "../io/config.ts";
import { type Tensor, weightedSum } from "../tensor/mod.ts";
import { alphasCumprod, type BetaConfig, betaConfig } from "./betas.ts";
import {
  type PredictionType,
  predictionType,
  threshold,
  type ThresholdConfig,
  thresholdConfig,
} from "./model_output.ts";
import { Scheduler } from "./scheduler.ts";
import { addWeighted, type NoiseWeights } from "./step.ts";
import { type TimestepConfig, timestepConfig } from "./timesteps.ts";

/** The keys that the schedulers over ᾱ share. */
export interface AlphaConfig extends BetaConfig, TimestepConfig, ThresholdConfig {
  /** The kind of the model's output. */
  prediction_type: PredictionType;
  /** Keeps x̂_0 within ±clip_sample_range. */
  clip_sample: boolean;
  /** The largest value that x̂_0 may have. */
  clip_sample_range: number;
}

/** The schema of AlphaConfig. */
export const alphaConfig = {
  ...betaConfig,
  rescale_betas_zero_snr: flag(false),
  prediction_type: predictionType,
  ...timestepConfig,
  timestep_spacing: timestepConfig.timestep_spacing.unwrap().default("leading"),
  clip_sample: flag(true),
  clip_sample_range: z.number().positive().default(1),
  ...thresholdConfig,
};

/** Instead of a divisor 0, which a GPU need not take to infinity. */
const TINY = 1e-30;

/** A scheduler for x_t = √ᾱ_t x_0 + √(1−ᾱ_t) ε, with a table of ᾱ over the timesteps of training. */
export abstract class AlphaScheduler<Config extends AlphaConfig> extends Scheduler<Config> {
  /** ᾱ_t, the part of the image's variance that is left at timestep t. */
  readonly alphasCumprod: Float32Array;

  /** Checks the config and makes the table. */
  protected constructor(schema: z.ZodType<Config>, config: object, { knowsZeroSnr = true } = {}) {
    super(schema, config);
    const { rescale_betas_zero_snr } = this.config;
    this.alphasCumprod = alphasCumprod({
      ...this.config,
      rescale_betas_zero_snr: rescale_betas_zero_snr && knowsZeroSnr, // some classes ignore the key, as in diffusers
    });
  }

  /** The target of a model of type v_prediction: v = √ᾱ_t ε − √(1−ᾱ_t) x_0. */
  getVelocity(sample: Tensor, noise: Tensor, timesteps: number | readonly number[]): Tensor {
    const weights = [timesteps].flat().map((t): NoiseWeights => {
      const [signal, deviation] = this.noiseWeights(t);
      return [-deviation, signal];
    });
    return addWeighted(sample, noise, weights);
  }

  /** √ᾱ_t and √(1−ᾱ_t). */
  protected override noiseWeights(t: number): NoiseWeights {
    const last = this.config.num_train_timesteps - 1;
    const a = this.alphasCumprod[t];
    if (a !== undefined && t <= last) return [Math.sqrt(a), Math.sqrt(1 - a)];
    throw new RangeError(`Cannot mix noise at timestep ${t}: expected a whole number from 0 to ${last}`);
  }

  /** x̂_0 from what the model predicted at ᾱ (DDPM eq. 15), kept within bounds as the config says. */
  protected predictOriginal(modelOutput: Tensor, alphaBar: number, sample: Tensor): Tensor {
    const [signal, noise] = [Math.sqrt(alphaBar), Math.sqrt(1 - alphaBar)];
    switch (this.config.prediction_type) {
      case "epsilon":
        if (alphaBar === 0) this.#expectBounds();
        return this.#limit(weightedSum([1, sample], [-noise, modelOutput]).div(signal || TINY));
      case "sample":
        return this.#limit(modelOutput);
      case "v_prediction":
        return this.#limit(weightedSum([signal, sample], [-noise, modelOutput]));
    }
  }

  /** ε̂ from what the model predicted at ᾱ, before x̂_0 is kept within bounds. */
  protected predictNoise(modelOutput: Tensor, a: number, sample: Tensor): Tensor {
    switch (this.config.prediction_type) {
      case "epsilon":
        return modelOutput;
      case "sample":
        return noiseIn(sample, modelOutput, a);
      case "v_prediction":
        return weightedSum([Math.sqrt(a), modelOutput], [Math.sqrt(1 - a), sample]);
    }
  }

  /**
   * In pure noise ε tells nothing of x_0: x̂_0 is infinite, and only its sign outlives clipping.
   */
  #expectBounds(): void {
    const { thresholding, clip_sample } = this.config;
    if (thresholding || clip_sample) return;
    throw new Error(
      'Cannot step from pure noise (rescale_betas_zero_snr): expected prediction_type "v_prediction" or "sample", ' +
        'got "epsilon"; or set clip_sample',
    );
  }

  #limit(x0: Tensor): Tensor {
    const { thresholding, clip_sample, clip_sample_range } = this.config;
    if (thresholding) return threshold(x0, this.config);
    return clip_sample ? x0.clamp(-clip_sample_range, clip_sample_range) : x0;
  }
}

/** ε in x_t = √ᾱ x_0 + √(1−ᾱ) ε. */
export function noiseIn(sample: Tensor, x0: Tensor, a: number): Tensor {
  return weightedSum([1, sample], [-Math.sqrt(a), x0]).div(Math.sqrt(1 - a));
}
