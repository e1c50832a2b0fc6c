import { z } from "zod";
import { flag } from "../io/config.ts";
import { type Tensor, weightedSum } from "../tensor/mod.ts";
import { latentBetas } from "./betas.ts";
import type { StepOptions, StepOutput } from "./step.ts";
import { SigmaScheduler, type VarianceExplodingConfig, varianceExplodingConfig } from "./sigma_scheduler.ts";
import { type SigmaConfig, sigmaConfig } from "./sigmas.ts";
import { readSchedule, repeatAfterFirst, type Schedule } from "./timesteps.ts";

const f32 = Math.fround;

/** The keys of a Heun scheduler_config.json. */
export interface HeunConfig extends VarianceExplodingConfig, SigmaConfig {
  /** Keeps x̂_0 within ±clip_sample_range. */
  clip_sample: boolean;
  /** The largest value that x̂_0 may have. */
  clip_sample_range: number;
}

const schema = z.looseObject({
  ...varianceExplodingConfig,
  ...latentBetas,
  ...sigmaConfig,
  beta_schedule: z.enum(["linear", "scaled_linear", "squaredcos_cap_v2", "exp"]).default("linear"),
  clip_sample: flag(false),
  clip_sample_range: z.number().positive().default(1),
});

/** Heun's method (Karras et al. 2022, Algorithm 1): two model calls a step, and one for the last. */
export class HeunDiscreteScheduler extends SigmaScheduler<HeunConfig> {
  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<HeunConfig> = {}) {
    super(schema, config);
  }

  /** Two model calls a step. */
  override get order(): number {
    return 2;
  }

  /** Spreads so many steps, or takes falling timesteps; the model is called twice at each but the first. */
  setTimesteps(schedule: number | Schedule): void {
    const { steps = 0, timesteps: chosen } = readSchedule(schedule, ["steps", "timesteps"]);
    const spaced = chosen ? this.chosenTimesteps(chosen, this.config) : this.spacedTimesteps(steps);
    const { timesteps, sigmas } = this.levels(spaced, this.config);
    this.visit(repeatAfterFirst(timesteps.map(f32)), [...repeatAfterFirst(sigmas.map(f32)), 0]);
  }

  /** One half of a step: Euler's to σ', then, from the same sample, the step by the mean of both derivatives. */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: StepOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options);
    const index = this.enter(t);
    const x0 = this.#limit(this.predictOriginal(modelOutput, this.sigmas[index]!, sample));
    const derivative = sample.sub(x0).div(this.sigmas[index]!);
    if (!this.isSecondHalf(index)) {
      const dt = this.sigmas[index + 1]! - this.sigmas[index]!;
      const prevSample = weightedSum([1, sample], [dt, derivative]);
      this.advance([sample, derivative]);
      return { prevSample, predOriginalSample: x0 };
    }
    const dt = this.sigmas[index]! - this.sigmas[index - 1]!;
    const [before, slope] = this.remembered as readonly [Tensor, Tensor]; // of the first half
    const prevSample = weightedSum([1, before], [dt / 2, slope], [dt / 2, derivative]);
    this.advance();
    return { prevSample, predOriginalSample: x0 };
  }

  #limit(x0: Tensor): Tensor {
    const { clip_sample, clip_sample_range } = this.config;
    return clip_sample ? x0.clamp(-clip_sample_range, clip_sample_range) : x0;
  }
}
