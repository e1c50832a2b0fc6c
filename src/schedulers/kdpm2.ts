import { z } from "zod";
import { roundHalfEven } from "../core/math.ts";
import { randn } from "../random/mod.ts";
import { type Tensor, type Term, weightedSum } from "../tensor/mod.ts";
import { latentBetas } from "./betas.ts";
import { type AncestralStep, getAncestralStep } from "./euler_ancestral.ts";
import type { StepOptions, StepOutput } from "./step.ts";
import { SigmaScheduler, type VarianceExplodingConfig, varianceExplodingConfig } from "./sigma_scheduler.ts";
import { chosenSpreads, type SigmaConfig, sigmaConfig, sigmaToTimestep } from "./sigmas.ts";
import { readSchedule, repeatAfterFirst, type Schedule } from "./timesteps.ts";

const f32 = Math.fround;

/** The keys of a KDPM2 or KDPM2Ancestral scheduler_config.json. */
export interface KDPM2Config extends VarianceExplodingConfig, SigmaConfig {}

const schema = z.looseObject({ ...varianceExplodingConfig, ...latentBetas, ...sigmaConfig });

/**
 * DPM-Solver-2 of Karras et al. 2022, "DPM2" (k-diffusion's sample_dpm_2), the midpoint method in log σ: two
 * model calls a step, and one for the last.
 */
export class KDPM2DiscreteScheduler extends SigmaScheduler<KDPM2Config> {
  /** σ in the middle of each step; 0 for the last, which is one of Euler's. */
  #middles: number[] = [];

  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<KDPM2Config> = {}) {
    super(schema, config);
  }

  /** Two model calls a step. */
  override get order(): number {
    return 2;
  }

  /** Spreads so many steps over the timesteps of training; between two of them lies the middle of a step. */
  setTimesteps(schedule: number | Schedule): void {
    const { steps = 0 } = readSchedule(schedule, ["steps"]);
    const levels = this.levels(this.spacedTimesteps(steps), this.config);
    const timesteps = levels.timesteps.map(this.config.use_karras_sigmas ? roundHalfEven : (t) => t);
    const sigmas = [...levels.sigmas.map(f32), 0];
    const middles = sigmas.slice(0, -1).map((sigma, i) =>
      middle(sigma, this.partsOf(sigma, sigmas[i + 1]!).down)
    );
    const { logSigmas } = this.table;
    const round = chosenSpreads(this.config).length > 0 ? (t: number) => t : f32; // f64 in diffusers where spread
    const between = middles.map((sigma) => round(sigmaToTimestep(sigma, logSigmas, f32)));

    this.visit(
      timesteps.flatMap((t, i) => i === 0 ? [t] : [between[i - 1]!, t]),
      [...repeatAfterFirst(sigmas), 0],
    );
    this.#middles = middles;
  }

  /**
   * One half of a step: to its middle, then, from the same sample again, the whole by the derivative there.
   */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: StepOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options);
    const { generator } = options;
    const index = this.enter(t);
    const x0 = this.predictOriginal(modelOutput, this.sigmaAt(index), sample);
    const derivative = sample.sub(x0).div(this.sigmaAt(index));
    if (!this.isSecondHalf(index)) {
      const dt = this.#middles[index / 2]! - this.sigmas[index]!;
      const prevSample = weightedSum([1, sample], [dt, derivative]);
      this.advance([sample]);
      return { prevSample, predOriginalSample: x0 };
    }
    const [before] = this.remembered as readonly [Tensor];
    const [sigma, next] = this.sigmas.slice(index - 1) as [number, number];
    const { down, up } = this.partsOf(sigma, next);
    const terms: Term[] = [[1, before], [down - sigma, derivative]];
    if (up > 0) terms.push([up, randn(sample.shape, { generator })]);
    const prevSample = weightedSum(...terms);
    this.advance();
    return { prevSample, predOriginalSample: x0 };
  }

  /** The parts of a step: straight to the next σ, without new noise. */
  protected partsOf(_sigma: number, next: number): AncestralStep {
    return { down: next, up: 0 };
  }

  /** σ of the sample, which halfway is that of the middle. */
  protected override sigmaAt(index: number): number {
    return this.isSecondHalf(index) ? this.#middles[(index - 1) / 2]! : this.sigmas[index]!;
  }
}

/** DPM-Solver-2 with new noise at each step, "DPM2 a" (k-diffusion's sample_dpm_2_ancestral). */
export class KDPM2AncestralDiscreteScheduler extends KDPM2DiscreteScheduler {
  /** The parts of a step: below the next σ, and up again by new noise. */
  protected override partsOf(sigma: number, next: number): AncestralStep {
    return getAncestralStep(sigma, next);
  }
}

/** The middle of two noise levels in log σ, in f32 as torch.lerp. */
function middle(sigma: number, next: number): number {
  const [a, b] = [f32(Math.log(sigma)), f32(Math.log(next))];
  return next === 0 ? 0 : f32(Math.exp(f32(b - f32(b - a) * 0.5)));
}
