import { z } from "zod";
import { type Tensor, type Term, weightedSum } from "../tensor/mod.ts";
import type { StepOptions, StepOutput } from "./step.ts";
import { SigmaScheduler, type VarianceExplodingConfig, varianceExplodingConfig } from "./sigma_scheduler.ts";
import { type SigmaConfig, sigmaConfig } from "./sigmas.ts";
import { readSchedule, type Schedule } from "./timesteps.ts";

const f32 = Math.fround;

/** The keys of an LMS scheduler_config.json. */
export interface LMSConfig extends VarianceExplodingConfig, SigmaConfig {}

const schema = z.looseObject({ ...varianceExplodingConfig, ...sigmaConfig });

/** Options of LMS's step(). */
export interface LMSStepOptions extends StepOptions {
  /** The number of derivatives that a step uses. */
  order?: number | undefined;
}

/** The linear multistep method of Adams and Bashforth in σ (k-diffusion's sample_lms). */
export class LMSDiscreteScheduler extends SigmaScheduler<LMSConfig> {
  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<LMSConfig> = {}) {
    super(schema, config);
  }

  /** Spreads so many steps over the timesteps of training. */
  setTimesteps(schedule: number | Schedule): void {
    const { steps = 0 } = readSchedule(schedule, ["steps"]);
    const { timesteps, sigmas } = this.levels(this.spacedTimesteps(steps), this.config);
    this.visit(timesteps.map(f32), [...sigmas.map(f32), 0]);
  }

  /** One step: the polynomial through the last derivatives dx/dσ, integrated from σ to the next σ'. */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: LMSStepOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options, ["order"]);
    const { order = 4 } = options;
    if (!Number.isInteger(order) || order < 1) {
      throw new RangeError(`Cannot step: expected an order of at least 1, got ${order}`);
    }
    const index = this.enter(t);
    const sigma = this.sigmas[index]!;
    const x0 = this.predictOriginal(modelOutput, sigma, sample);
    const derivative = sample.sub(x0).div(sigma);
    const derivatives = [derivative, ...this.remembered].slice(0, order); // the latest first
    // As many as diffusers takes, also where a loop began in the middle and there are fewer derivatives.
    const nodes = this.sigmas.slice(Math.max(0, index + 1 - order), index + 1).reverse();
    const terms = derivatives.map((d, k): Term => [lagrangeIntegral(nodes, k, this.sigmas[index + 1]!), d]);
    const prevSample = weightedSum([1, sample], ...terms);
    this.advance(derivatives.slice(0, order - 1));
    return { prevSample, predOriginalSample: x0 };
  }
}

/** The integral, from the first node to `end`, of the polynomial that is 1 at node k and 0 at the others. */
export function lagrangeIntegral(nodes: readonly number[], k: number, end: number): number {
  const start = nodes[0]!;
  let polynomial = [1]; // coefficients of powers of σ − start
  for (const [i, node] of nodes.entries()) {
    if (i === k) continue;
    const [root, scale] = [node - start, nodes[k]! - node];
    polynomial = [...polynomial, 0].map((c, power) => ((polynomial[power - 1] ?? 0) - c * root) / scale);
  }
  return polynomial.reduce((sum, c, power) => sum + c * (end - start) ** (power + 1) / (power + 1), 0);
}
