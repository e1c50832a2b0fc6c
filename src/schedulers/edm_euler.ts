import { z } from "zod";
import { type Tensor, weightedSum } from "../tensor/mod.ts";
import { type EDMConfig, edmConfig, EDMScheduler } from "./edm_scheduler.ts";
import { addChurn, CHURN_OPTIONS, type ChurnOptions } from "./euler.ts";
import type { StepOutput } from "./step.ts";

/** The keys of an EDMEuler scheduler_config.json. */
export type EDMEulerConfig = EDMConfig;

const schema = z.looseObject(edmConfig);

/**
 * Euler's method for EDM
 * (Karras et al. 2022, Algorithm 2 without its correction, https://arxiv.org/abs/2206.00364).
 */
export class EDMEulerScheduler extends EDMScheduler<EDMEulerConfig> {
  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<EDMEulerConfig> = {}) {
    super(schema, config);
  }

  /** One step from σ, or from σ̂ above it with new noise, to the next σ': x + (x − x̂_0)/σ̂ · (σ' − σ̂). */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: ChurnOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options, CHURN_OPTIONS);
    const [sigma, next] = this.sigmas.slice(this.enter(t)) as [number, number];
    const from = addChurn(sample, sigma, this.sigmas.length - 1, options);
    const x0 = this.predictOriginal(modelOutput, from.sigma, from.sample);
    const kept = next / from.sigma;
    const prevSample = weightedSum([kept, from.sample], [1 - kept, x0]);
    this.advance();
    return { prevSample, predOriginalSample: x0 };
  }
}
