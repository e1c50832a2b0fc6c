import { z } from "zod";
import { flag } from "../io/config.ts";
import type { Tensor } from "../tensor/mod.ts";
import { DPMSolverScheduler, type DPMSolverStepOptions } from "./dpm_solver.ts";
import { type DPMSolverMethod, multistepWeights } from "./dpm_weights.ts";
import type { StepOutput } from "./scheduler.ts";
import { luSigmas, sigmaToTimestep } from "./sigmas.ts";
import type { Spread } from "./solver_scheduler.ts";
import { choice, type DPMSolverConfig, dpmSolverConfig } from "./solver_config.ts";
import { roundHalfEven } from "../core/math.ts";

/** The keys of a DPMSolverMultistep scheduler_config.json. */
export interface DPMSolverMultistepConfig extends DPMSolverConfig, DPMSolverMethod {
  /** Takes the last step in order 1. */
  euler_at_final: boolean;
  /** Spreads the levels evenly in λ. */
  use_lu_lambdas: boolean;
}

const schema = z.looseObject({
  ...dpmSolverConfig,
  algorithm_type: choice(["dpmsolver++", "dpmsolver", "sde-dpmsolver", "sde-dpmsolver++"], {
    deis: "dpmsolver++",
  }),
  solver_type: choice(["midpoint", "heun"], { logrho: "midpoint", bh1: "midpoint", bh2: "midpoint" }),
  euler_at_final: flag(false),
  use_lu_lambdas: z.boolean().nullish().transform(Boolean),
}).refine(
  ({ algorithm_type, final_sigmas_type }) =>
    algorithm_type.endsWith("++") || final_sigmas_type === "sigma_min",
  {
    path: ["final_sigmas_type"],
    error: '"sigma_min", as algorithm_type is not "dpmsolver++"',
  },
);

/** DPM-Solver++ (Lu et al. 2022, https://arxiv.org/abs/2211.01095) over the outputs of the last steps. */
export class DPMSolverMultistepScheduler extends DPMSolverScheduler<DPMSolverMultistepConfig> {
  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<DPMSolverMultistepConfig> = {}) {
    super(schema, config);
  }

  /** One step of order 1 to solver_order, as high as the steps before allow. */
  step(
    modelOutput: Tensor,
    t: number,
    sample: Tensor,
    options: DPMSolverStepOptions = {},
  ): StepOutput {
    this.expectStep(modelOutput, sample, options, ["varianceNoise"]);
    const index = this.enter(t);
    const predicted = this.mean(modelOutput, sample);
    const outputs = [this.convert(predicted, index, sample), ...this.memory.tensors]; // the newest first
    const levels = this.levelsBefore(index, this.#order(index, outputs.length));
    const weights = multistepWeights(this.config, this.level(index + 1), levels);
    const prevSample = this.update(weights, sample, outputs, options);
    this.advance(outputs.slice(0, this.config.solver_order - 1));
    return this.output(prevSample, predicted, index, sample);
  }

  /** Timesteps and levels as the config spreads them. */
  protected spread(count: number, flowShift: number): Spread {
    const { use_karras_sigmas, use_lu_lambdas, use_flow_sigmas, beta_schedule, timestep_spacing } =
      this.config;
    const round = beta_schedule !== "squaredcos_cap_v2";
    if (use_lu_lambdas && !use_karras_sigmas) return this.#luLevels(count, round);
    return this.spreadLevels(count, round) ??
      (use_flow_sigmas
        ? this.flowLevels(count, flowShift)
        : this.levelsOf(this.spacedTimesteps(count, timestep_spacing, this.clippedEnd)));
  }

  #luLevels(count: number, round: boolean): Spread {
    const { logSigmas } = this.table;
    const sigmas = luSigmas(logSigmas, count);
    const timesteps = sigmas.map((sigma) => sigmaToTimestep(sigma, logSigmas));
    return { sigmas, timesteps: round ? timesteps.map(roundHalfEven) : timesteps };
  }

  /** The order of a step: the last ones may be lower, where little is left to extrapolate to. */
  #order(index: number, outputs: number): number {
    const { solver_order, euler_at_final, lower_order_final, final_sigmas_type } = this.config;
    const left = this.timesteps.length - index;
    const lower = lower_order_final && this.timesteps.length < 15;
    if (left === 1 && (euler_at_final || lower || final_sigmas_type === "zero")) return 1;
    return Math.min(solver_order, outputs, left === 2 && lower ? 2 : Infinity);
  }
}
