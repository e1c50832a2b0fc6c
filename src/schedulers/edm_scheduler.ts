import { z } from "zod";
import { linspace, linspaceF32 } from "../core/math.ts";
import { type Tensor, weightedSum } from "../tensor/mod.ts";
import { Scheduler } from "./scheduler.ts";
import type { NoiseWeights } from "./step.ts";
import type { FinalSigmas } from "./sigmas.ts";
import { checkedCount, readSchedule, type Schedule } from "./timesteps.ts";

const f32 = Math.fround;

/** The keys that the schedulers of EDM share. */
export interface EDMConfig {
  /** The smallest σ. */
  sigma_min: number;
  /** The largest σ, where sampling begins. */
  sigma_max: number;
  /** Standard deviation of the images or latents of training. */
  sigma_data: number;
  /** The spread of the σ: even in σ^(1/rho), or in log σ. */
  sigma_schedule: "karras" | "exponential";
  /** The number of steps at most. */
  num_train_timesteps: number;
  /** The sign of the model's output in x̂_0: + for "epsilon", − for "v_prediction". */
  prediction_type: "epsilon" | "v_prediction";
  /** The exponent of "karras". */
  rho: number;
  /** σ where the last step ends. */
  final_sigmas_type: FinalSigmas;
}

/** The schema of EDMConfig. */
export const edmConfig = {
  sigma_min: z.number().positive().default(0.002),
  sigma_max: z.number().positive().default(80),
  sigma_data: z.number().positive().default(0.5),
  sigma_schedule: z.enum(["karras", "exponential"]).default("karras"),
  num_train_timesteps: z.int().positive().default(1000),
  prediction_type: z.enum(["epsilon", "v_prediction"]).default("epsilon"),
  rho: z.number().positive().default(7),
  final_sigmas_type: z.enum(["zero", "sigma_min"]).default("zero"),
};

/**
 * A scheduler for x = x_0 + σ ε, whose model has the preconditioning of Karras et al. 2022, table 1
 * (https://arxiv.org/abs/2206.00364): it gets c_in x and, as timestep, c_noise = ¼ log σ.
 */
export abstract class EDMScheduler<Config extends EDMConfig> extends Scheduler<Config> {
  /** Standard deviation of the noise to begin with. */
  override get initNoiseSigma(): number {
    return Math.sqrt(this.config.sigma_max ** 2 + 1);
  }

  /** σ at each of the timesteps, then where the last step ends. */
  get sigmas(): number[] {
    return this.visitedSigmas;
  }

  /** Spreads so many σ; the timesteps are ¼ log σ. */
  setTimesteps(schedule: number | Schedule): void {
    const { num_train_timesteps, sigma_min, final_sigmas_type } = this.config;
    const { steps = 0 } = readSchedule(schedule, ["steps"]);
    const sigmas = this.#spread(checkedCount(steps, num_train_timesteps)).map(f32);
    const end = final_sigmas_type === "zero" ? 0 : f32(sigma_min); // after one step, too, where diffusers' EDMEuler stays at sigma_max
    this.visit(sigmas.map((sigma) => f32(0.25 * f32(Math.log(sigma)))), [...sigmas, end]);
  }

  /** The sample by c_in = 1 / √(σ² + σ_data²). */
  override scaleModelInput(sample: Tensor, t: number): Tensor {
    return sample.mul(1 / Math.hypot(this.sigmas[this.enter(t)]!, this.config.sigma_data));
  }

  /** x = x_0 + σ ε. */
  protected override noiseWeights(t: number): NoiseWeights {
    return [1, this.sigmas[this.indexForTimestep(t)]!];
  }

  /** x̂_0 = c_skip x + c_out F. */
  protected predictOriginal(modelOutput: Tensor, sigma: number, sample: Tensor): Tensor {
    const { sigma_data, prediction_type } = this.config;
    const variance = sigma ** 2 + sigma_data ** 2;
    const out = sigma * sigma_data / Math.sqrt(variance);
    const sign = prediction_type === "epsilon" ? 1 : -1;
    return weightedSum([sigma_data ** 2 / variance, sample], [sign * out, modelOutput]);
  }

  #spread(count: number): number[] {
    const { sigma_min, sigma_max, sigma_schedule, rho } = this.config;
    if (sigma_schedule === "exponential") {
      return [...linspaceF32(Math.log(sigma_min), Math.log(sigma_max), count).map(Math.exp)].reverse();
    }
    const [high, low] = [sigma_max ** (1 / rho), sigma_min ** (1 / rho)];
    return linspace(0, 1, count).map((ramp) => (high + ramp * (low - high)) ** rho);
  }
}
