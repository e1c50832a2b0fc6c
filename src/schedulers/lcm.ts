import { z } from "zod";
import { absentIfNull, flag } from "../io/config.ts";
import { randn } from "../random/mod.ts";
import { type Tensor, weightedSum } from "../tensor/mod.ts";
import { type AlphaConfig, alphaConfig, AlphaScheduler } from "./alpha_scheduler.ts";
import { latentBetas } from "./betas.ts";
import type { StepOptions, StepOutput } from "./step.ts";
import { checkedTimesteps, readSchedule, type Schedule, type TimestepConfig } from "./timesteps.ts";

/** Standard deviation of images, by which the boundary condition is weighted. */
const SIGMA_DATA = 0.5;

/** The keys that decide which timesteps a distilled model knows. */
export interface DistilledConfig extends TimestepConfig {
  /** The number of them that the distillation visited. */
  original_inference_steps: number;
}

/** The keys of an LCM or TCD scheduler_config.json. */
export interface LCMConfig extends AlphaConfig, DistilledConfig {
  /** The course of β; LCM and TCD know these three. */
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

/** Options of setTimesteps(), instead of the config's. */
export interface DistilledOptions {
  /** The number of timesteps that the distillation visited. */
  originalInferenceSteps?: number | undefined;
  /** Chooses among the least noisy part of them, for image to image. */
  strength?: number | undefined;
}

/**
 * Latent consistency models (Luo et al. 2023, https://arxiv.org/abs/2310.04378): 1 to 8 steps of a distilled
 * model.
 */
export class LCMScheduler extends AlphaScheduler<LCMConfig> {
  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<LCMConfig> = {}) {
    super(lcmSchema, config);
  }

  /** Chooses so many of the timesteps that the distillation visited, or takes a falling list of any. */
  setTimesteps(schedule: number | Schedule, options: DistilledOptions = {}): void {
    this.visit(chosenTimesteps(this.config, schedule, distillationTimesteps(this.config, options)));
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

/**
 * The timesteps that the distillation visited, the noisiest first:
 * every k-th of training, counted from its end.
 */
export function distillationTimesteps(
  { num_train_timesteps: T, original_inference_steps }: DistilledConfig,
  { originalInferenceSteps = original_inference_steps, strength = 1 }: DistilledOptions,
): number[] {
  if (!(originalInferenceSteps >= 1 && originalInferenceSteps <= T)) {
    throw new RangeError(
      `Cannot set timesteps: expected 1 to ${T} original_inference_steps (num_train_timesteps), ` +
        `got ${originalInferenceSteps}`,
    );
  }
  const stride = Math.floor(T / originalInferenceSteps);
  return Array.from({ length: keptOf(originalInferenceSteps, strength) }, (_, i) => (i + 1) * stride - 1)
    .reverse();
}

/** The number of `count` timesteps that a strength leaves. */
export function keptOf(count: number, strength: number): number {
  if (strength > 0 && strength <= 1) return Math.floor(count * strength);
  throw new RangeError(`Cannot set timesteps: expected a strength above 0 and up to 1, got ${strength}`);
}

/**
 * As many timesteps as asked for, spread evenly over those that a distilled model knows from the noisiest, or a
 * falling list of any.
 */
export function chosenTimesteps(
  config: DistilledConfig,
  schedule: number | Schedule,
  known: readonly number[],
): number[] {
  const { steps = 0, timesteps } = readSchedule(schedule, ["steps", "timesteps"]);
  if (timesteps) return checkedTimesteps(config, timesteps);
  if (Number.isInteger(steps) && steps >= 1 && steps <= known.length) {
    const stride = known.length / steps;
    return Array.from({ length: steps }, (_, i) => known[Math.floor(i * stride)]!);
  }
  throw new RangeError(
    `Cannot set timesteps: expected 1 to ${known.length} steps, as many as the model was distilled for, got ${steps}`,
  );
}
