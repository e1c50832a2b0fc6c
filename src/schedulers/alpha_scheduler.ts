import type { z } from "zod";
import { quantile } from "../ops/quantile.ts";
import { type Tensor, tensor, weightedSum } from "../tensor/mod.ts";
import { alphasCumprod } from "./betas.ts";
import type { AlphaConfig } from "./config.ts";
import { Scheduler } from "./scheduler.ts";

/** Instead of a divisor 0, which a GPU need not take to infinity. */
const TINY = 1e-30;

/** A scheduler for x_t = √ᾱ_t x_0 + √(1−ᾱ_t) ε, with a table of ᾱ over the timesteps of training. */
export abstract class AlphaScheduler<Config extends AlphaConfig> extends Scheduler<Config> {
  /** ᾱ_t, the part of the image's variance that is left at timestep t. */
  readonly alphasCumprod: Float32Array;

  /** Checks the config and makes the table. */
  protected constructor(schema: z.ZodType<Config>, config: object) {
    super(schema, config);
    this.alphasCumprod = alphasCumprod(this.config);
  }

  /** The images with noise as at a timestep, or at one timestep for each image: x_t. */
  addNoise(original: Tensor, noise: Tensor, timesteps: number | readonly number[]): Tensor {
    return this.#mix(original, noise, timesteps, (a) => [Math.sqrt(a), Math.sqrt(1 - a)]);
  }

  /** What a model of type v_prediction is to predict: v = √ᾱ_t ε − √(1−ᾱ_t) x_0. */
  getVelocity(sample: Tensor, noise: Tensor, timesteps: number | readonly number[]): Tensor {
    return this.#mix(sample, noise, timesteps, (a) => [-Math.sqrt(1 - a), Math.sqrt(a)]);
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

  /** Where only noise is left, ε tells nothing of x_0: the quotient is infinite and only its sign outlives clipping. */
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
    if (thresholding) return this.#threshold(x0);
    return clip_sample ? x0.clamp(-clip_sample_range, clip_sample_range) : x0;
  }

  /** Dynamic thresholding (Saharia et al. 2022, section 2.3): per image, x̂_0 / s within [-1, 1] for a quantile s. */
  #threshold(x0: Tensor): Tensor {
    const { dynamic_thresholding_ratio, sample_max_value } = this.config;
    const [B, ...rest] = x0.shape;
    const s = quantile(x0.abs().reshape([B, -1]), dynamic_thresholding_ratio)
      .clamp(Math.min(1, sample_max_value), sample_max_value)
      .reshape([B, ...rest.map(() => 1)]);
    return x0.div(s).clamp(-1, 1);
  }

  /** A weighted sum of two tensors whose weights follow from ᾱ, for all images at once or for each its own. */
  #mix(
    x: Tensor,
    y: Tensor,
    timesteps: number | readonly number[],
    weights: (alphaBar: number) => [number, number],
  ): Tensor {
    const list = typeof timesteps === "number" ? [timesteps] : timesteps;
    const [B, ...rest] = x.shape;
    if (list.length !== 1 && list.length !== B) {
      throw new RangeError(`Cannot mix noise: expected one timestep or ${B}, got ${list.length}`);
    }
    const pairs = list.map((t) => weights(this.#alphaBar(t)));
    if (pairs.length === 1) return weightedSum([pairs[0][0], x], [pairs[0][1], y]);
    const column = (i: 0 | 1) =>
      tensor(pairs.map((pair) => pair[i]), [B, ...rest.map(() => 1)], { dtype: "f32" });
    return x.mul(column(0)).add(y.mul(column(1)));
  }

  #alphaBar(t: number): number {
    const last = this.config.num_train_timesteps - 1;
    if (Number.isInteger(t) && t >= 0 && t <= last) return this.alphasCumprod[t];
    throw new RangeError(`Cannot mix noise at timestep ${t}: expected a whole number from 0 to ${last}`);
  }
}
