import { z } from "zod";
import { flag } from "../io/config.ts";
import { type Tensor, weightedSum } from "../tensor/mod.ts";
import { type AlphaConfig, alphaConfig, AlphaScheduler } from "./alpha_scheduler.ts";
import type { StepOptions, StepOutput } from "./step.ts";
import { readSchedule, type Schedule, spacedTimesteps } from "./timesteps.ts";

/** The keys of a DDIMInverse scheduler_config.json. */
export interface DDIMInverseConfig extends AlphaConfig {
  /** The spread of the steps; this class knows two. */
  timestep_spacing: "leading" | "trailing";
  /** True begins at ᾱ = 1, false at ᾱ_0. */
  set_alpha_to_one: boolean;
}

const schema = z.looseObject({
  ...alphaConfig,
  timestep_spacing: z.enum(["leading", "trailing"]).default("leading"),
  set_alpha_to_one: flag(true),
});

/**
 * DDIM backwards, from an image to the noise that DDIM makes it of (Song et al. 2020, section 4.3): for edits that begin with
 * the noise of a picture. Its timesteps rise.
 */
export class DDIMInverseScheduler extends AlphaScheduler<DDIMInverseConfig> {
  #stride = 0;

  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<DDIMInverseConfig> = {}) {
    super(schema, config);
  }

  /** Spreads so many timesteps over those of training, the cleanest first. */
  setTimesteps(schedule: number | Schedule): void {
    const { steps = 0 } = readSchedule(schedule, ["steps"]);
    this.visit(spacedTimesteps(this.config, steps).reverse());
    this.#stride = Math.floor(this.config.num_train_timesteps / steps);
  }

  /** One step towards noise, to x_t: what the model sees in the sample, with as much noise as there is at t. */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: StepOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options);
    this.indexOf(t);
    const { set_alpha_to_one, prediction_type } = this.config;
    const now = this.alphasCumprod[t - this.#stride] ?? (set_alpha_to_one ? 1 : this.alphasCumprod[0]!);
    if (now === 1 && prediction_type === "sample") {
      throw new Error(
        'Cannot step from a clean image: expected a model of noise, got prediction_type "sample"; set set_alpha_to_one ' +
          "to false",
      );
    }
    const next = this.alphasCumprod[t]!;
    const x0 = this.predictOriginal(modelOutput, now, sample);
    const epsilon = this.predictNoise(modelOutput, now, sample);
    const prevSample = weightedSum([Math.sqrt(next), x0], [Math.sqrt(1 - next), epsilon]);
    return { prevSample, predOriginalSample: x0 };
  }
}
