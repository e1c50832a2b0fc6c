import { z } from "zod";
import { flag } from "../io/config.ts";
import type { Tensor } from "../tensor/mod.ts";
import { linspace } from "../core/math.ts";
import { NoiseLevelScheduler } from "./noise_level_scheduler.ts";

const f32 = Math.fround;

/** The keys that the schedulers of flow matching share. */
export interface FlowConfig {
  /** How many timesteps training had; the model is told t = σ · num_train_timesteps. */
  num_train_timesteps: number;
  /** Moves the σ of the steps towards noise: s σ / (1 + (s − 1) σ) (Esser et al. 2024, eq. 23). */
  shift: number;
  /** Shift by how many tokens the image has, through `mu`, instead of by `shift`. */
  use_dynamic_shifting: boolean;
  /** Whether mu shifts by exp(mu) or by itself. */
  time_shift_type: "exponential" | "linear";
}

/** The schema of FlowConfig. */
export const flowConfig: { [Key in keyof FlowConfig]: z.ZodType<FlowConfig[Key]> } = {
  num_train_timesteps: z.int().positive().default(1000),
  shift: z.number().positive().default(1),
  use_dynamic_shifting: flag(false),
  time_shift_type: z.enum(["exponential", "linear"]).default("exponential"),
};

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

  /** A noise level that a caller chose, moved as the config says: by its shift, or dynamically by mu. */
  protected shiftedBy(sigma: number, mu: number | undefined): number {
    const { use_dynamic_shifting, time_shift_type } = this.config;
    if (!use_dynamic_shifting) return this.shifted(sigma);
    if (mu === undefined || !Number.isFinite(mu)) {
      throw new TypeError(
        `Cannot set timesteps: expected mu, as use_dynamic_shifting is set, got ${mu}; take muFor(imageSeqLen)`,
      );
    }
    const factor = time_shift_type === "exponential" ? Math.exp(mu) : mu;
    return factor / (factor + (1 / sigma - 1));
  }

  /** `count` noise levels even between the largest and the smallest of training. */
  protected evenSigmas(count: number, ofTraining: (sigma: number) => number): number[] {
    const T = this.config.num_train_timesteps;
    const [max, min] = [1, 1 / T].map((sigma) => f32(ofTraining(sigma))) as [number, number];
    return linspace(max * T, min * T, count).map((t) => t / T);
  }
}
