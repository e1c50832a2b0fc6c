import { z } from "zod";
import { absentIfNull } from "../io/config.ts";
import { randn } from "../random/mod.ts";
import { type Tensor, type Term, weightedSum } from "../tensor/mod.ts";
import { AlphaScheduler } from "./alpha_scheduler.ts";
import {
  chosenTimesteps,
  distillationTimesteps,
  type DistilledOptions,
  keptOf,
  type LCMConfig,
  lcmSchema,
} from "./lcm.ts";
import type { PredictionType } from "./model_output.ts";
import type { StepOptions, StepOutput } from "./step.ts";
import type { Schedule } from "./timesteps.ts";

const f32 = Math.fround;

const schema = z.looseObject({
  ...lcmSchema.shape,
  clip_sample_range: absentIfNull(lcmSchema.shape.clip_sample_range),
  dynamic_thresholding_ratio: absentIfNull(lcmSchema.shape.dynamic_thresholding_ratio),
  timestep_scaling: absentIfNull(lcmSchema.shape.timestep_scaling),
});

/** Options of TCD's step(). */
export interface TCDStepOptions extends StepOptions {
  /**
   * γ of the paper: how far beyond the next timestep a step jumps,
   * to add noise again from there; 0 for no noise.
   */
  eta?: number | undefined;
}

/** Result of TCD's step(). */
export interface TCDStepOutput extends StepOutput {
  /** The sample at the timestep s that the step jumped to, before noise is added. */
  predNoisedSample: Tensor;
}

/** Trajectory consistency distillation (Zheng et al. 2024, https://arxiv.org/abs/2402.19159). */
export class TCDScheduler extends AlphaScheduler<LCMConfig> {
  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<LCMConfig> = {}) {
    super(schema, config);
  }

  /** Chooses so many of the timesteps that the distillation visited, or takes a falling list of any. */
  setTimesteps(schedule: number | Schedule, options: DistilledOptions = {}): void {
    this.visit(chosenTimesteps(this.config, schedule, this.#known(options)));
  }

  /**
   * One step: along the trajectory to s = (1 − γ) t' below the next timestep t', then noise up to t' (Algorithm 4).
   */
  step(
    modelOutput: Tensor,
    t: number,
    sample: Tensor,
    options: TCDStepOptions = {},
  ): TCDStepOutput {
    this.expectStep(modelOutput, sample, options, ["eta"]);
    const { eta = 0.3, generator } = options;
    if (!(eta >= 0 && eta <= 1)) throw new RangeError(`Cannot step: expected eta from 0 to 1, got ${eta}`);
    const next = this.timesteps[this.enter(t) + 1];
    const a = this.alphasCumprod[t]!;
    if (a === 0 && this.config.prediction_type === "epsilon") {
      throw new Error(
        'Cannot step from pure noise (rescale_betas_zero_snr): expected prediction_type "v_prediction" or "sample", ' +
          'got "epsilon"',
      );
    }
    const aNext = this.alphasCumprod[next ?? 0]!;
    const aS = this.alphasCumprod[Math.floor(f32(f32(1 - eta) * (next ?? 0)))]!; // in f32, which decides the timestep

    const [x0, epsilon] = predict[this.config.prediction_type](sample, modelOutput, a);
    const noised = weightedSum([Math.sqrt(aS), x0], [Math.sqrt(1 - aS), epsilon]);
    const ratio = f32(aNext / aS); // as in torch, since little may be left of it in 1 − ratio
    const terms: Term[] = [[Math.sqrt(ratio), noised]];
    if (eta > 0 && next !== undefined) {
      terms.push([Math.sqrt(1 - ratio), randn(sample.shape, { generator })]);
    }
    this.advance();
    return { prevSample: weightedSum(...terms), predOriginalSample: x0, predNoisedSample: noised };
  }

  /**
   * Given other original steps, diffusers leaves the distillation's grid and chooses among all of training.
   */
  #known({ originalInferenceSteps, strength = 1 }: DistilledOptions): number[] {
    if (originalInferenceSteps === undefined) return distillationTimesteps(this.config, { strength });
    const kept = keptOf(this.config.num_train_timesteps, strength);
    return Array.from({ length: kept }, (_, i) => kept - 1 - i);
  }
}

/** x̂_0 and ε̂ from x_t and the model's output. Unlike LCM, TCD clips nothing. */
const predict: Record<
  PredictionType,
  (x: Tensor, output: Tensor, a: number) => [x0: Tensor, epsilon: Tensor]
> = {
  epsilon: (x, epsilon, a) => [
    weightedSum([1 / Math.sqrt(a), x], [-Math.sqrt((1 - a) / a), epsilon]),
    epsilon,
  ],
  sample: (x, x0, a) => [
    x0,
    weightedSum([1 / Math.sqrt(1 - a), x], [-Math.sqrt(a / (1 - a)), x0]),
  ],
  v_prediction: (x, v, a) => [
    weightedSum([Math.sqrt(a), x], [-Math.sqrt(1 - a), v]),
    weightedSum([Math.sqrt(a), v], [Math.sqrt(1 - a), x]),
  ],
};
