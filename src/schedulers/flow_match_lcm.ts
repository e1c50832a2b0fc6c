import { z } from "zod";
import { randn } from "../random/mod.ts";
import { type Tensor, weightedSum } from "../tensor/mod.ts";
import { type FlowLevelsConfig, flowLevelsConfig, FlowLevelsScheduler } from "./flow_match.ts";
import type { StepOptions, StepOutput } from "./step.ts";

/** The keys of a FlowMatchLCM scheduler_config.json. */
export interface FlowMatchLCMConfig extends FlowLevelsConfig {
  /** Sizes of the picture at the steps; only null, by which it keeps its size. */
  scale_factors: null;
}

const schema = z.looseObject({
  ...flowLevelsConfig,
  scale_factors: z.null().default(null),
});

/** Consistency sampling of a distilled flow: the image that the model sees, with new noise as at the next σ. */
export class FlowMatchLCMScheduler extends FlowLevelsScheduler<FlowMatchLCMConfig> {
  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<FlowMatchLCMConfig> = {}) {
    super(schema, config);
  }

  /** One step: x̂_0, with noise again up to the next σ'. */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: StepOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options);
    const [sigma, next] = this.sigmas.slice(this.enter(t)) as [number, number];
    const x0 = weightedSum([1, sample], [-sigma, modelOutput]);
    const noise = randn(sample.shape, { generator: options.generator });
    const prevSample = weightedSum([1 - next, x0], [next, noise]);
    this.advance();
    return { prevSample, predOriginalSample: x0 };
  }
}
