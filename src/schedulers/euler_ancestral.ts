import { z } from "zod";
import { sqrtf } from "../core/float32.ts";
import { interpolate } from "../core/math.ts";
import { flag } from "../io/config.ts";
import { randn } from "../random/mod.ts";
import { type Tensor, weightedSum } from "../tensor/mod.ts";
import type { StepOptions, StepOutput } from "./step.ts";
import { SigmaScheduler, type VarianceExplodingConfig, varianceExplodingConfig } from "./sigma_scheduler.ts";
import { readSchedule, type Schedule } from "./timesteps.ts";

const f32 = Math.fround;

/** The keys of an EulerAncestral scheduler_config.json. */
export interface EulerAncestralConfig extends VarianceExplodingConfig {
  /** Ends at pure noise (Lin et al. 2023). */
  rescale_betas_zero_snr: boolean;
}

const schema = z.looseObject({
  ...varianceExplodingConfig,
  rescale_betas_zero_snr: flag(false),
});

/** Euler's method with new noise at each step, "Euler a" (k-diffusion's sample_euler_ancestral). */
export class EulerAncestralDiscreteScheduler extends SigmaScheduler<EulerAncestralConfig> {
  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<EulerAncestralConfig> = {}) {
    super(schema, config, { knowsZeroSnr: true });
  }

  /** Spreads so many steps over the timesteps of training. */
  setTimesteps(schedule: number | Schedule): void {
    const { steps = 0 } = readSchedule(schedule, ["steps"]);
    const timesteps = this.spacedTimesteps(steps);
    this.visit(timesteps, [...timesteps.map((t) => f32(interpolate(this.table.sigmas, t))), 0]);
  }

  /** One step: Euler's, down to less noise than the next σ' has, then up to it with new noise. */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: StepOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options);
    const { generator } = options;
    const [sigma, next] = this.sigmas.slice(this.enter(t)) as [number, number];
    const { down, up } = getAncestralStep(sigma, next);
    const x0 = this.predictOriginal(modelOutput, sigma, sample);
    const noise = randn(sample.shape, { generator });
    const prevSample = weightedSum([down / sigma, sample], [1 - down / sigma, x0], [up, noise]);
    this.advance();
    return { prevSample, predOriginalSample: x0 };
  }
}

/** The two parts of a step to σ' that adds new noise. */
export interface AncestralStep {
  /** σ that the step itself ends at. */
  down: number;
  /** Standard deviation of the noise that is added then. */
  up: number;
}

/**
 * k-diffusion's get_ancestral_step: `eta` times the noise that the reverse SDE adds. Rounded at each operation as in torch,
 * since the differences cancel.
 */
export function getAncestralStep(sigma: number, next: number, eta = 1): AncestralStep {
  if (eta === 0) return { down: next, up: 0 };
  const [square, nextSquare] = [f32(sigma ** 2), f32(next ** 2)];
  const up = f32(eta * sqrtf(f32(f32(nextSquare * f32(square - nextSquare)) / square)));
  const rest = f32(nextSquare - f32(up ** 2));
  if (rest > 0 || next === 0) return { down: sqrtf(rest), up };
  return eta > 1 ? { down: 0, up: next } : { down: next ** 2 / sigma, up }; // exactly, where torch gets NaN or 0
}
