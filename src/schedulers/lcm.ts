import { z } from "zod";
import { absentIfNull, flag } from "../io/config.ts";
import { randn } from "../random/mod.ts";
import { type Tensor, weightedSum } from "../tensor/mod.ts";
import { AlphaScheduler } from "./alpha_scheduler.ts";
import { type AlphaConfig, alphaConfig } from "./config.ts";
import {
  chosenTimesteps,
  distillationTimesteps,
  type DistilledConfig,
  type DistilledOptions,
} from "./distilled_timesteps.ts";
import { latentBetas } from "./sigma_scheduler.ts";
import type { Schedule, StepOptions, StepOutput } from "./scheduler.ts";

/** Standard deviation of images, by which the boundary condition is weighted. */
const SIGMA_DATA = 0.5;

/** The keys of an LCM or TCD scheduler_config.json. */
export interface LCMConfig extends AlphaConfig, DistilledConfig {
  /** How β runs; LCM and TCD know these three. */
  beta_schedule: "linear" | "scaled_linear" | "squaredcos_cap_v2";
  /** ᾱ before the first timestep; no step asks for it. */
  set_alpha_to_one: boolean;
  /** Times t in the boundary condition: how fast the sample itself stops to count. */
  timestep_scaling: number;
}

/** The schema of LCMConfig. */
export const lcmSchema = z.looseObject({
  ...alphaConfig,
  ...latentBetas,
  beta_schedule: z.enum(["linear", "scaled_linear", "squaredcos_cap_v2"]).default("scaled_linear"),
  timestep_spacing: absentIfNull(alphaConfig.timestep_spacing),
  steps_offset: absentIfNull(alphaConfig.steps_offset),
  clip_sample: flag(false),
  set_alpha_to_one: flag(true),
  original_inference_steps: z.int().positive().default(50),
  timestep_scaling: z.number().default(10),
});

/**
 * Latent consistency models
 * (Luo et al. 2023, https://arxiv.org/abs/2310.04378): 1 to 8 steps of a distilled model.
 */
export class LCMScheduler extends AlphaScheduler<LCMConfig> {
  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<LCMConfig> = {}) {
    super(lcmSchema, config);
  }

  /** Chooses so many of the timesteps that the distillation visited, or takes a falling list of any. */
  setTimesteps(schedule: number | Schedule, options: DistilledOptions = {}): void {
    this.timesteps = chosenTimesteps(this.config, schedule, distillationTimesteps(this.config, options));
  }

  /** One step: the consistency function's image, with noise again as at the next timestep (Algorithm 3). */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: StepOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options);
    const { generator } = options;
    const index = this.enter(t);
    const x0 = this.predictOriginal(modelOutput, this.alphasCumprod[t]!, sample);
    const { skip, out } = this.#boundary(t);
    const denoised = weightedSum([out, x0], [skip, sample]); // f(x, t) of eq. 9
    const next = this.timesteps[index + 1];
    const prevSample = next === undefined ? denoised : this.#withNoise(denoised, next, generator);
    this.advance();
    return { prevSample, predOriginalSample: denoised };
  }

  #withNoise(image: Tensor, t: number, generator: StepOptions["generator"]): Tensor {
    return this.addNoise(image, randn(image.shape, { generator }), t);
  }

  /** c_skip and c_out, by which f(x, 0) = x. */
  #boundary(t: number): { skip: number; out: number } {
    const scaled = t * this.config.timestep_scaling;
    const square = scaled ** 2 + SIGMA_DATA ** 2;
    return { skip: SIGMA_DATA ** 2 / square, out: scaled / Math.sqrt(square) };
  }
}
