import { z } from "zod";
import type { Tensor } from "../tensor/mod.ts";
import { latentBetas } from "./betas.ts";
import { getAncestralStep } from "./euler_ancestral.ts";
import { noisesOf, type Step } from "./k_diffusion/plan.ts";
import { predictionType } from "./model_output.ts";
import { PlannedScheduler, type StepNoise } from "./planned_scheduler.ts";
import type { StepOptions, StepOutput } from "./step.ts";
import { type VarianceExplodingConfig, varianceExplodingConfig } from "./sigma_scheduler.ts";
import { type SigmaConfig, sigmaConfig, sigmaToTimestep } from "./sigmas.ts";
import { readSchedule, type Schedule, spacedTimesteps } from "./timesteps.ts";

const f32 = Math.fround;
const { exp, log } = Math;

/** The keys of a DPMSolverSDE scheduler_config.json. */
export interface DPMSolverSDEConfig extends VarianceExplodingConfig, SigmaConfig {
  /** Seed of the Brownian motion that all noise is of; null for that of step()'s generator. */
  noise_sampler_seed: number | null;
}

const schema = z.looseObject({
  ...varianceExplodingConfig,
  ...latentBetas,
  ...sigmaConfig,
  prediction_type: predictionType.unwrap().exclude(["sample"]).default("epsilon"), // diffusers' class raises at it
  noise_sampler_seed: z.int().nullable().default(null),
});

/** Options of DPMSolverSDE's step(). */
export interface DPMSolverSDEStepOptions extends StepOptions {
  /** Factor of the noise. */
  sNoise?: number | undefined;
}

/**
 * DPM-Solver++ of the SDE with two model calls a step, "DPM++ SDE" (k-diffusion's sample_dpmpp_sde). Its noise is one Brownian
 * motion, so that pictures of more steps are like those of fewer.
 */
export class DPMSolverSDEScheduler extends PlannedScheduler<DPMSolverSDEConfig> {
  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<DPMSolverSDEConfig> = {}) {
    super(schema, config);
  }

  /** Two model calls a step. */
  override get order(): number {
    return 2;
  }

  /** Spreads so many steps over the timesteps of training; between two of them lies the middle of a step. */
  setTimesteps(schedule: number | Schedule): void {
    const { steps = 0 } = readSchedule(schedule, ["steps"]);
    const { timesteps, sigmas } = this.levels(
      spacedTimesteps(this.config, steps, { round: (t) => t }),
      this.config,
    );
    const between = sigmas.slice(0, -1).map((sigma, i) =>
      sigmaToTimestep(exp((log(sigma) + log(sigmas[i + 1]!)) / 2), this.table.logSigmas)
    );
    this.visitLevels([...sigmas, 0], ({ step, stage }) => ({
      timestep: stage === 0 ? timesteps[step]! : between[step]!,
      sigma: f32(sigmas[step + stage]!), // in the middle of a step diffusers shows where it ends
    }));
  }

  /** One half of a step: to its middle, then, from the same sample again, the whole by the image seen there. */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: DPMSolverSDEStepOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options, ["sNoise"]);
    return this.sumStep(modelOutput, t, sample, options, options.sNoise);
  }

  /** The sums are of x̂_0. */
  protected override readonly terms = "denoised";

  /** Increments of one Brownian motion. */
  protected override get noise(): StepNoise {
    return { kind: "brownian", seed: this.config.noise_sampler_seed };
  }

  /** The steps over such σ, of two calls each but for the last. */
  protected override stepsOf(sigmas: readonly number[]): Step[] {
    return sigmas.slice(0, -1).map((sigma, i) => stepOf(sigma, sigmas[i + 1]!));
  }
}

/** The two calls of a step, with σ rounded as in torch, since times of the Brownian motion follow from them. */
function stepOf(sigma: number, next: number): Step {
  if (next === 0) return [{ sigma, sample: 0, outputs: [1] }];
  const [t, end] = [sigma, next].map((at) => -f32(log(at))) as [number, number];
  const [from, middle, to] = [t, f32(t + f32(f32(end - t) * 0.5)), end].map((time) => f32(exp(-time))) as [
    number,
    number,
    number,
  ];
  const part = (at: number, until: number) => {
    const { down, up } = getAncestralStep(from, until);
    const share = down / from;
    return {
      sigma: at,
      sample: share,
      outputs: [1 - share],
      noises: noisesOf(up),
      between: [from, until] as const,
    };
  };
  return [part(sigma, middle), part(middle, to)];
}
