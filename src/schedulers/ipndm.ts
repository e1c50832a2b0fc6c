import { z } from "zod";
import { type Tensor, type Term, weightedSum } from "../tensor/mod.ts";
import { multistep } from "./pndm.ts";
import { Scheduler } from "./scheduler.ts";
import type { NoiseWeights, StepOptions, StepOutput } from "./step.ts";
import { checkedCount, readSchedule, type Schedule } from "./timesteps.ts";

const f32 = Math.fround;

/** The keys of an IPNDM scheduler_config.json. */
export interface IPNDMConfig {
  /** The number of steps at most. */
  num_train_timesteps: number;
  /** σ at each step and at the end, for just as many steps as it has values but one. */
  trained_betas: readonly number[] | null;
}

const schema = z.looseObject({
  num_train_timesteps: z.int().positive().default(1000),
  trained_betas: z.array(z.number().min(0).max(1)).min(2).nullable().default(null),
});

/**
 * Linear multisteps of up to four outputs for models of x = α x_0 + σ ε that predict v and get the angle
 * 2/π · atan2(σ, α), from 0 to 1, as their timestep (Dance Diffusion). After PNDM (Liu et al. 2022,
 * https://arxiv.org/abs/2202.09778), improved: its first steps are of lower order instead of Runge-Kutta.
 */
export class IPNDMScheduler extends Scheduler<IPNDMConfig> {
  #sigmas: number[] = [];

  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<IPNDMConfig> = {}) {
    super(schema, config);
  }

  /** Spreads so many steps; σ = sin²(π s / 2) for s from 1 to 0. */
  setTimesteps(schedule: number | Schedule): void {
    const { num_train_timesteps, trained_betas } = this.config;
    const count = checkedCount(readSchedule(schedule, ["steps"]).steps ?? 0, num_train_timesteps);
    if (trained_betas && trained_betas.length !== count + 1) {
      throw new RangeError(
        `Cannot set timesteps: expected ${trained_betas.length - 1} steps, as trained_betas has ` +
          `${trained_betas.length} values, got ${count}`,
      );
    }
    const even = Array.from({ length: count + 1 }, (_, i) => 1 - i / count);
    this.#sigmas = (trained_betas ?? even.map((s) => Math.sin(s * Math.PI / 2) ** 2)).map(f32);
    const angles = this.#sigmas.map((sigma) => Math.atan2(sigma, alphaOf(sigma)) / Math.PI * 2);
    this.visit(angles.slice(0, -1).map(f32));
  }

  /** One step: along the mean of the last outputs, as ε = σ x + α v, up to the fourth order. */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: StepOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options);
    const index = this.enter(t);
    const [sigma, next] = this.#sigmas.slice(index) as [number, number];
    const [alpha, nextAlpha] = [alphaOf(sigma), alphaOf(next)];
    const x0 = weightedSum([alpha, sample], [-sigma, modelOutput]);
    const noise = weightedSum([sigma, sample], [alpha, modelOutput]);
    const outputs = [noise, ...this.remembered]; // the newest first
    const turn = nextAlpha * sigma / Math.max(alpha, 1e-8); // by which x̂_0 changes with the slope
    const slope = multistep[outputs.length - 1]!.map((weight, i): Term => [
      next * weight + turn * ((i === 0 ? 1 : 0) - weight),
      outputs[i]!,
    ]);
    const known = Math.min(alpha / 1e-8, 1); // of pure noise diffusers takes x̂_0 for 0
    const prevSample = weightedSum([nextAlpha * known, x0], ...slope);
    this.advance(outputs.slice(0, 3));
    return { prevSample, predOriginalSample: x0 };
  }

  /** x = α x_0 + σ ε. */
  protected override noiseWeights(t: number): NoiseWeights {
    const sigma = this.#sigmas[this.indexForTimestep(t)]!;
    return [alphaOf(sigma), sigma];
  }
}

/** α = √(1 − σ²). */
function alphaOf(sigma: number): number {
  return Math.sqrt(1 - sigma ** 2);
}
