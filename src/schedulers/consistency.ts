import { z } from "zod";
import { flag } from "../io/config.ts";
import { randn } from "../random/mod.ts";
import { type Tensor, weightedSum } from "../tensor/mod.ts";
import { Scheduler } from "./scheduler.ts";
import type { NoiseWeights, StepOptions, StepOutput } from "./step.ts";
import { checkedTimesteps, readSchedule, type Schedule, spacedTimesteps } from "./timesteps.ts";

const f32 = Math.fround;

/** The keys of a CMStochasticIterative scheduler_config.json. */
export interface CMStochasticIterativeConfig {
  /** The number of noise levels in training, between which the steps choose. */
  num_train_timesteps: number;
  /** The smallest σ, at which the model gives back what it gets. */
  sigma_min: number;
  /** The largest σ, where sampling begins. */
  sigma_max: number;
  /** Standard deviation of the images of training. */
  sigma_data: number;
  /** Factor of the noise between two steps. */
  s_noise: number;
  /** The levels are even in σ^(1/rho). */
  rho: number;
  /** Keeps x̂_0 within ±1. */
  clip_denoised: boolean;
}

const schema = z.looseObject({
  num_train_timesteps: z.int().min(2).default(40),
  sigma_min: z.number().positive().default(0.002),
  sigma_max: z.number().positive().default(80),
  sigma_data: z.number().positive().default(0.5),
  s_noise: z.number().min(0).default(1),
  rho: z.number().positive().default(7),
  clip_denoised: flag(true),
});

/**
 * Sampling of consistency models (Song et al. 2023, Algorithm 1, https://arxiv.org/abs/2303.01469), whose model leads from any σ
 * to the image in one call: each further step adds noise to that image and calls it again.
 */
export class CMStochasticIterativeScheduler extends Scheduler<CMStochasticIterativeConfig> {
  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<CMStochasticIterativeConfig> = {}) {
    super(schema, config);
  }

  /** Standard deviation of the noise to begin with. */
  override get initNoiseSigma(): number {
    return this.config.sigma_max;
  }

  /** σ at each of the timesteps, then the smallest of training. */
  get sigmas(): number[] {
    return this.visitedSigmas;
  }

  /**
   * Spreads so many steps over the levels of training, or takes falling numbers of levels as `timesteps`, of which the largest
   * is num_train_timesteps − 1. The model gets 250 log σ.
   */
  setTimesteps(schedule: number | Schedule): void {
    const { steps = 0, timesteps } = readSchedule(schedule, ["steps", "timesteps"]);
    const { num_train_timesteps: T, sigma_min, sigma_max, rho } = this.config;
    const spacing = { num_train_timesteps: T, timestep_spacing: "leading", steps_offset: 0 } as const;
    const chosen = timesteps ? checkedTimesteps(spacing, timesteps) : spacedTimesteps(spacing, steps);
    const [high, low] = [sigma_max ** (1 / rho), sigma_min ** (1 / rho)];
    const sigmas = chosen.toReversed().map((t) => (high + t / (T - 1) * (low - high)) ** rho);
    this.visit(sigmas.map((sigma) => 250 * Math.log(sigma)), [...sigmas, sigma_min].map(f32));
  }

  /** The sample by 1 / √(σ² + σ_data²), as the model was trained. */
  override scaleModelInput(sample: Tensor, t: number): Tensor {
    return sample.mul(1 / Math.hypot(this.sigmas[this.enter(t)]!, this.config.sigma_data));
  }

  /** To the image in one, and up again to the next σ by new noise. */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: StepOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options);
    const { sigma_min, sigma_max, sigma_data, s_noise, clip_denoised } = this.config;
    const [sigma, next] = this.sigmas.slice(this.enter(t)) as [number, number];
    const skip = sigma_data ** 2 / ((sigma - sigma_min) ** 2 + sigma_data ** 2);
    const out = (sigma - sigma_min) * sigma_data / Math.hypot(sigma, sigma_data);
    const seen = weightedSum([out, modelOutput], [skip, sample]);
    const x0 = clip_denoised ? seen.clamp(-1, 1) : seen;
    this.advance();
    if (this.timesteps.length === 1) return { prevSample: x0, predOriginalSample: x0 };
    const noise = randn(sample.shape, options);
    const level = Math.min(Math.max(next, sigma_min), sigma_max);
    const deviation = s_noise * Math.sqrt(Math.max(level ** 2 - sigma_min ** 2, 0));
    return { prevSample: weightedSum([1, x0], [deviation, noise]), predOriginalSample: x0 };
  }

  /** x = x_0 + σ ε. */
  protected override noiseWeights(t: number): NoiseWeights {
    return [1, this.sigmas[this.indexForTimestep(t)]!];
  }
}
