import { z } from "zod";
import { flag } from "../io/config.ts";
import { randn } from "../random/mod.ts";
import { type Tensor, weightedSum } from "../tensor/mod.ts";
import { ancestral } from "./ancestral.ts";
import { readSchedule } from "./schedule.ts";
import type { Schedule, StepOptions, StepOutput } from "./scheduler.ts";
import { SigmaScheduler, type VarianceExplodingConfig, varianceExplodingConfig } from "./sigma_scheduler.ts";
import { interpolate } from "./sigmas.ts";

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
    super(schema, config, ({ rescale_betas_zero_snr }) => rescale_betas_zero_snr);
  }

  /** Spreads so many steps over the timesteps of training. */
  setTimesteps(schedule: number | Schedule): void {
    const { steps = 0 } = readSchedule(schedule, ["steps"]);
    this.timesteps = this.spacedTimesteps(steps);
    this.sigmas = [...this.timesteps.map((t) => Math.fround(interpolate(this.table.sigmas, t))), 0];
  }

  /** One step: Euler's, down to less noise than the next σ' has, then up to it with new noise. */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: StepOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options);
    const { generator } = options;
    const [sigma, next] = this.sigmas.slice(this.enter(t)) as [number, number];
    const { down, up } = ancestral(sigma, next);
    const x0 = this.predictOriginal(modelOutput, sigma, sample);
    const noise = randn(sample.shape, { generator });
    const prevSample = weightedSum([down / sigma, sample], [1 - down / sigma, x0], [up, noise]);
    this.advance();
    return { prevSample, predOriginalSample: x0 };
  }
}
