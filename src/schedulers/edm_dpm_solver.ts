import { z } from "zod";
import { flag } from "../io/config.ts";
import type { Tensor } from "../tensor/mod.ts";
import { choice } from "./config.ts";
import { type DPMSolverStepOptions, noiseOf } from "./dpm_solver.ts";
import { type DPMSolverMethod, multistepWeights } from "./dpm_weights.ts";
import { type EDMConfig, edmConfig, EDMScheduler } from "./edm_scheduler.ts";
import { threshold, type ThresholdConfig, thresholdConfig } from "./model_output.ts";
import type { StepOutput } from "./step.ts";
import type { NoiseLevel } from "./sigmas.ts";
import { applyWeights } from "./solver_scheduler.ts";

const f32 = Math.fround;

/** The keys of an EDMDPMSolverMultistep scheduler_config.json. */
export interface EDMDPMSolverMultistepConfig extends EDMConfig, ThresholdConfig, DPMSolverMethod {
  /** Integrates over the image, by the ODE or the SDE. */
  algorithm_type: "dpmsolver++" | "sde-dpmsolver++";
  /** The highest order of a step: how many model outputs it uses. */
  solver_order: number;
  /** Falls back to lower orders in the last steps. */
  lower_order_final: boolean;
  /** Takes the last step in order 1; it is so with false as well, which changes nothing. */
  euler_at_final: boolean;
}

const schema = z.looseObject({
  ...edmConfig,
  ...thresholdConfig,
  solver_order: z.int().min(1).max(3).default(2),
  algorithm_type: choice(["dpmsolver++", "sde-dpmsolver++"], { deis: "dpmsolver++" }),
  solver_type: choice(["midpoint", "heun"], { logrho: "midpoint", bh1: "midpoint", bh2: "midpoint" }),
  lower_order_final: flag(true),
  euler_at_final: flag(false),
});

/** DPM-Solver++ (Lu et al. 2022, https://arxiv.org/abs/2211.01095) for EDM, over the last outputs. */
export class EDMDPMSolverMultistepScheduler extends EDMScheduler<EDMDPMSolverMultistepConfig> {
  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<EDMDPMSolverMultistepConfig> = {}) {
    super(schema, config);
  }

  /** One step of order 1 to solver_order, as high as the steps before allow. */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: DPMSolverStepOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options, ["varianceNoise"]);
    const { algorithm_type, solver_order, thresholding } = this.config;
    const index = this.enter(t);
    const seen = this.predictOriginal(modelOutput, this.sigmas[index]!, sample);
    const x0 = thresholding ? threshold(seen, this.config) : seen;
    const outputs = [x0, ...this.remembered]; // the newest first
    const order = this.#order(index, outputs.length);
    const levels = Array.from({ length: order }, (_, i) => this.#level(index - i));
    const weights = multistepWeights(this.config, this.#level(index + 1), levels);
    const prevSample = applyWeights(weights, sample, outputs, noiseOf(algorithm_type, sample, options));
    this.advance(outputs.slice(0, solver_order - 1));
    return { prevSample, predOriginalSample: x0 };
  }

  /** The level at an index of the sigmas; x has the image at unit scale. */
  #level(index: number): NoiseLevel {
    const sigma = this.sigmas[index]!;
    return { alpha: 1, sigma, lambda: -f32(Math.log(sigma)), ratio: sigma };
  }

  /** The order of a step; 1 of the last, which ends at 0, or has no length as it begins at the smallest σ. */
  #order(index: number, outputs: number): number {
    const { solver_order, lower_order_final } = this.config;
    const left = this.timesteps.length - index;
    if (left === 1) return 1;
    const lower = lower_order_final && this.timesteps.length < 15;
    return Math.min(solver_order, outputs, left === 2 && lower ? 2 : Infinity);
  }
}
