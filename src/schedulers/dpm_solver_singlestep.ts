import { z } from "zod";
import { absentIfNull, flag } from "../io/config.ts";
import type { Tensor } from "../tensor/mod.ts";
import { DPMSolverScheduler } from "./dpm_solver.ts";
import { type DPMSolverMethod, singlestepWeights } from "./dpm_weights.ts";
import type { StepOptions, StepOutput } from "./scheduler.ts";
import type { Spread } from "./solver_scheduler.ts";
import { choice, type DPMSolverConfig, dpmSolverConfig } from "./solver_config.ts";

/** The keys of a DPMSolverSinglestep scheduler_config.json. */
export interface DPMSolverSinglestepConfig extends DPMSolverConfig, DPMSolverMethod {
  /** What it integrates; not the noise by an SDE. */
  algorithm_type: "dpmsolver" | "dpmsolver++" | "sde-dpmsolver++";
}

const schema = z.looseObject({
  ...dpmSolverConfig,
  timestep_spacing: absentIfNull(dpmSolverConfig.timestep_spacing),
  steps_offset: absentIfNull(dpmSolverConfig.steps_offset),
  lower_order_final: flag(false),
  algorithm_type: choice(["dpmsolver++", "dpmsolver", "sde-dpmsolver++"], { deis: "dpmsolver++" }),
  solver_type: choice(["midpoint", "heun"], { logrho: "midpoint", bh1: "midpoint", bh2: "midpoint" }),
}).refine(
  ({ algorithm_type, final_sigmas_type }) =>
    algorithm_type.endsWith("++") || final_sigmas_type === "sigma_min",
  {
    path: ["final_sigmas_type"],
    error: '"sigma_min", as algorithm_type is not "dpmsolver++"',
  },
);

/**
 * DPM-Solver (Lu et al. 2022, https://arxiv.org/abs/2206.00927):
 * groups of 1 to solver_order steps, each from the start of its group.
 */
export class DPMSolverSinglestepScheduler extends DPMSolverScheduler<DPMSolverSinglestepConfig> {
  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<DPMSolverSinglestepConfig> = {}) {
    super(schema, config, { knowsZeroSnr: false });
  }

  /** One step further from the start of the group, in the order of its place there. */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: StepOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options);
    const { generator } = options;
    const index = this.enter(t);
    const predicted = this.mean(modelOutput, sample);
    const [before, ...earlier] = this.memory.tensors as readonly [Tensor, ...Tensor[]];
    const outputs = [this.convert(predicted, index, sample), ...earlier]; // the newest first
    const order = Math.min(this.#orders()[index]!, outputs.length);
    const start = order === 1 ? sample : before;
    const weights = singlestepWeights(this.config, this.level(index + 1), this.levelsBefore(index, order));
    const prevSample = this.update(weights, start, outputs, { generator });
    this.advance([start, ...outputs.slice(0, this.config.solver_order - 1)]);
    return this.output(prevSample, predicted, index, sample);
  }

  /** Timesteps and levels as the config spreads them. */
  protected spread(count: number, flowShift: number): Spread {
    return this.spreadLevels(count) ??
      (this.config.use_flow_sigmas
        ? this.flowLevels(count, flowShift)
        : this.levelsOf(this.spacedTimesteps(count, "linspace", this.clippedEnd)));
  }

  /**
   * The order of each step: 1, 2, 1, 2, … or 1, 2, 3, 1, 2,
   * 3, …, lower at the end where the last group is not full.
   */
  #orders(): number[] {
    const { solver_order, lower_order_final, final_sigmas_type } = this.config;
    const count = this.timesteps.length;
    const orders = Array.from({ length: count }, (_, i) => i % solver_order + 1);
    const lower = lower_order_final || count % solver_order !== 0 || final_sigmas_type === "zero";
    if (lower && solver_order === 3 && count % 3 === 0) orders.splice(-3, 3, 1, 2, 1);
    if (lower && solver_order === 2 && count % 2 === 0) orders.splice(-2, 2, 1, 1);
    if (final_sigmas_type === "zero") orders[count - 1] = 1;
    return orders;
  }
}
