import type { Tensor } from "../tensor/mod.ts";
import { linspace } from "../core/linspace.ts";
import { NoiseLevelScheduler } from "./noise_level_scheduler.ts";

const f32 = Math.fround;

/** The keys that the schedulers of flow matching share. */
export interface FlowConfig {
  /** How many timesteps training had; the model is told t = σ · num_train_timesteps. */
  num_train_timesteps: number;
  /** Moves the σ of the steps towards noise: s σ / (1 + (s − 1) σ) (Esser et al. 2024, eq. 23). */
  shift: number;
}

/** A scheduler for x_σ = (1 − σ) x_0 + σ ε, of which the model predicts the velocity ε − x_0. */
export abstract class FlowScheduler<Config extends FlowConfig> extends NoiseLevelScheduler<Config> {
  /** addNoise() by the name and in the order that diffusers has for flows. */
  scaleNoise(sample: Tensor, timesteps: number | readonly number[], noise: Tensor): Tensor {
    return this.addNoise(sample, noise, timesteps);
  }

  /** x_σ = (1 − σ) x_0 + σ ε. */
  protected override weightsAt(sigma: number): [image: number, noise: number] {
    return [1 - sigma, sigma];
  }

  /** σ moved by the config's shift. */
  protected shifted(sigma: number): number {
    const { shift } = this.config;
    return shift * sigma / (1 + (shift - 1) * sigma);
  }

  /** `count` noise levels even between the largest and the smallest of training. */
  protected evenSigmas(count: number, ofTraining: (sigma: number) => number): number[] {
    const T = this.config.num_train_timesteps;
    const [max, min] = [1, 1 / T].map((sigma) => f32(ofTraining(sigma))) as [number, number];
    return linspace(max * T, min * T, count).map((t) => t / T);
  }
}
