import { z } from "zod";
import type { Tensor } from "../tensor/mod.ts";
import { choice } from "./config.ts";
import type { StepOptions, StepOutput } from "./step.ts";
import type { NoiseLevel } from "./sigmas.ts";
import { applyWeights, type SolverConfig, solverConfig, SolverScheduler } from "./solver_scheduler.ts";
import { readSchedule, type Schedule } from "./timesteps.ts";

/** The keys of a DEISMultistep scheduler_config.json. */
export interface DEISMultistepConfig extends SolverConfig {
  /** The only one there is. */
  algorithm_type: "deis";
  /** The only one there is: polynomials in log ρ. */
  solver_type: "logrho";
}

const schema = z.looseObject({
  ...solverConfig,
  algorithm_type: choice(["deis"], { "dpmsolver": "deis", "dpmsolver++": "deis" }),
  solver_type: choice(["logrho"], { midpoint: "logrho", heun: "logrho", bh1: "logrho", bh2: "logrho" }),
});

/**
 * Diffusion exponential integrator sampler (Zhang & Chen 2022,
 * https://arxiv.org/abs/2204.13902), log ρ multistep.
 */
export class DEISMultistepScheduler extends SolverScheduler<DEISMultistepConfig> {
  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<DEISMultistepConfig> = {}) {
    super(schema, config, { knowsZeroSnr: false });
  }

  /** Spreads so many timesteps over those of training. */
  setTimesteps(schedule: number | Schedule): void {
    const { steps = 0, mu } = readSchedule(schedule, ["steps", "mu"]);
    const spread = this.spreadLevels(steps) ??
      (this.config.use_flow_sigmas ? this.flowLevels(steps, this.flowShift(mu)) : undefined);
    if (spread) this.visitLevels(spread, spread.sigmas[steps - 1]!); // the last step ends where it begins
    else this.visitLevels(this.spacedLevels(steps), this.table.sigmas[0]!);
  }

  /** One step: ε, interpolated through those of the last steps, is integrated over ρ. */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: StepOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options);
    const index = this.enter(t);
    const { solver_order } = this.config;
    const outputs = [this.predictNoise(modelOutput, index, sample), ...this.remembered]; // the newest first
    const levels = this.levelsBefore(index, this.#order(index, outputs.length));
    const next = this.level(index + 1);
    const weights = { sample: next.alpha / levels[0]!.alpha, outputs: integrals(next, levels), noise: 0 };
    const prevSample = applyWeights(weights, sample, outputs);
    this.advance(outputs.slice(0, solver_order - 1));
    return this.output(prevSample, modelOutput, index, sample);
  }

  #order(index: number, outputs: number): number {
    const { solver_order, lower_order_final } = this.config;
    const left = this.timesteps.length - index;
    const lower = lower_order_final && this.timesteps.length < 15;
    return Math.min(solver_order, outputs, lower ? left : Infinity);
  }
}

/** ∫ of each Lagrange polynomial in log ρ through the levels, over ρ from the first of them to the next. */
function integrals(next: NoiseLevel, levels: readonly NoiseLevel[]): number[] {
  if (levels.length === 1) {
    return [-next.sigma * Math.expm1(Math.fround(next.lambda - levels[0]!.lambda))];
  }
  const [end, ...rho] = [next, ...levels].map(({ alpha, sigma }) => Math.fround(sigma / alpha)) as [
    number,
    ...number[],
  ];
  return rho.map((own, i) => {
    const others = rho.filter((_, j) => j !== i);
    const integral = antiderivatives[others.length]!(own, others);
    return next.alpha * (integral(end) - integral(rho[0]!));
  });
}

/**
 * The antiderivative of Π (log ρ − log c) / (log b − log c) over the other levels c, by how many there are.
 */
const antiderivatives: Record<number, (b: number, others: readonly number[]) => (rho: number) => number> = {
  1: (b, [c]) => (rho) => rho * (Math.log(rho) - Math.log(c!) - 1) / (Math.log(b) - Math.log(c!)),
  2: (b, others) => {
    const [lb, lc, ld] = [b, ...others].map(Math.log) as [number, number, number];
    return (rho) => {
      const l = Math.log(rho);
      return rho * (lc * (ld - l + 1) - ld * l + ld + l ** 2 - 2 * l + 2) / ((lb - lc) * (lb - ld));
    };
  },
};
