import { z } from "zod";
import { flag } from "../io/config.ts";
import { type Tensor, type Term, weightedSum } from "../tensor/mod.ts";
import type { StepWeights } from "./dpm_weights.ts";
import { linspace } from "../core/math.ts";
import { checkedCount, checkedFalling, readSchedule } from "./schedule.ts";
import {
  type Schedule,
  Scheduler,
  type SchedulerState,
  type StepOptions,
  type StepOutput,
} from "./scheduler.ts";
import { finalSigma } from "./sigmas.ts";
import { SolverScheduler } from "./solver_scheduler.ts";
import { choice, type SolverConfig, solverConfig } from "./solver_config.ts";
import { correctorWeights, predictorWeights, type UniPCMethod } from "./unipc_weights.ts";

/** The keys of a UniPCMultistep scheduler_config.json. */
export interface UniPCMultistepConfig extends SolverConfig, UniPCMethod {
  /** Indices of steps that are not corrected. */
  disable_corrector: number[];
  /** A scheduler that predicts instead of UniP. */
  solver_p: Scheduler | null;
  /** How a dynamic shift is told: as its logarithm, or itself. */
  time_shift_type: "exponential" | "linear";
  /** Stretches a flow's noise levels so that the last is this. */
  shift_terminal: number | null;
}

const schema = z.looseObject({
  ...solverConfig,
  solver_order: z.int().positive().default(2),
  predict_x0: flag(true),
  solver_type: choice(["bh2", "bh1"], { midpoint: "bh2", heun: "bh2", logrho: "bh2" }),
  disable_corrector: z.array(z.int().min(0)).default([]),
  solver_p: z.custom<Scheduler>((value) => value instanceof Scheduler, "a scheduler or null").nullable()
    .default(null),
  time_shift_type: z.enum(["exponential", "linear"]).default("exponential"),
  shift_terminal: z.number().min(0).lt(1).nullable().default(null),
}).refine(({ shift_terminal, use_flow_sigmas }) => shift_terminal === null || use_flow_sigmas, {
  path: ["shift_terminal"],
  error: "null, as use_flow_sigmas is false",
});

/**
 * Unified predictor-corrector
 * (Zhao et al. 2023, https://arxiv.org/abs/2302.04867) over the last steps' outputs.
 */
export class UniPCMultistepScheduler extends SolverScheduler<UniPCMultistepConfig> {
  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<UniPCMultistepConfig> = {}) {
    super(schema, config);
  }

  /** Spreads so many timesteps over those of training, or takes the falling sigmas of a flow. */
  setTimesteps(schedule: number | Schedule): void {
    const { steps = 0, sigmas, mu } = readSchedule(schedule, ["steps", "sigmas", "mu"]);
    const { final_sigmas_type, use_flow_sigmas, use_karras_sigmas, num_train_timesteps, solver_p } =
      this.config;
    const spread = sigmas ? undefined : this.spreadLevels(steps);
    if (spread && use_flow_sigmas && use_karras_sigmas) {
      spread.sigmas = spread.sigmas.map((sigma) => sigma / (sigma + 1)); // from beside an image of unit scale
      spread.timesteps = spread.sigmas.map((sigma) => sigma * num_train_timesteps);
    }
    const levels = spread ?? (use_flow_sigmas || sigmas ? this.#flow(steps, sigmas, mu) : undefined);
    if (levels) this.visit(levels, final_sigmas_type === "zero" ? 0 : levels.sigmas.at(-1)!);
    else {
      const end = finalSigma(final_sigmas_type, this.table.sigmas);
      this.visit(this.levelsOf(this.spacedTimesteps(steps)), end);
    }
    solver_p?.setTimesteps(this.timesteps.length);
  }

  /** Corrects the step before by what the model says at its end (UniC), then takes the next one (UniP). */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: StepOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options);
    const index = this.enter(t);
    const { predict_x0, solver_p } = this.config;
    const [lastSample, ...earlier] = this.memory.tensors as readonly [Tensor, ...Tensor[]];
    const output = predict_x0
      ? this.predictOriginal(modelOutput, index, sample)
      : this.predictNoise(modelOutput, index, sample);
    const outputs = [output, ...earlier]; // the newest first
    const corrected = this.#corrects(index) ? this.#correct(index, lastSample, outputs) : sample;

    const order = this.#order(index, outputs.length);
    const prevSample = solver_p
      ? solver_p.step(modelOutput, t, corrected).prevSample
      : this.#predict(index, order, corrected, outputs);
    this.advance([corrected, ...outputs.slice(0, this.config.solver_order)]);
    return this.output(prevSample, modelOutput, index, sample);
  }

  /** With that of solver_p. */
  override snapshot(): SchedulerState {
    return { ...super.snapshot(), inner: this.config.solver_p?.snapshot() };
  }

  /** See `snapshot`. */
  override restore(state: SchedulerState): void {
    super.restore(state);
    if (state.inner) this.config.solver_p?.restore(state.inner);
  }

  #predict(index: number, order: number, sample: Tensor, outputs: readonly Tensor[]): Tensor {
    const levels = this.levelsBefore(index, order);
    return update(predictorWeights(this.config, this.level(index + 1), levels), sample, outputs);
  }

  #correct(index: number, lastSample: Tensor, outputs: readonly Tensor[]): Tensor {
    const order = this.#order(index - 1, outputs.length - 1); // of the last step
    const levels = this.levelsBefore(index - 1, order);
    return update(correctorWeights(this.config, this.level(index), levels), lastSample, outputs);
  }

  #corrects(index: number): boolean {
    return this.memory.tensors.length > 0 && !this.config.disable_corrector.includes(index - 1);
  }

  #order(index: number, outputs: number): number {
    const { solver_order, lower_order_final } = this.config;
    return Math.min(solver_order, outputs, lower_order_final ? this.timesteps.length - index : Infinity);
  }

  /** The levels of a flow as they are given or even, shifted, and stretched to end at shift_terminal. */
  #flow(steps: number, given: readonly number[] | undefined, mu: number | undefined) {
    this.#expectFlow(given);
    const { num_train_timesteps: T, shift_terminal } = this.config;
    const even = given ?? linspace(1, 1 / T, checkedCount(steps, T) + 1).slice(0, -1);
    let sigmas = even.map(this.#shifting(mu));
    if (shift_terminal) {
      const stretch = (1 - sigmas[sigmas.length - 1]!) / (1 - shift_terminal);
      sigmas = sigmas.map((sigma) => 1 - (1 - sigma) / stretch);
    }
    if (Math.abs(sigmas[0]! - 1) < 1e-6) sigmas[0]! -= 1e-6; // λ of pure noise is infinite
    return { sigmas, timesteps: sigmas.map((sigma) => sigma * T) };
  }

  #expectFlow(given: readonly number[] | undefined): void {
    if (!given) return;
    const { use_flow_sigmas, use_karras_sigmas, use_exponential_sigmas, use_beta_sigmas } = this.config;
    if (!use_flow_sigmas || use_karras_sigmas || use_exponential_sigmas || use_beta_sigmas) {
      throw new TypeError("Cannot set sigmas: expected use_flow_sigmas and no other spread in the config");
    }
    checkedFalling(given, "sigmas", { most: 1, least: Number.MIN_VALUE });
  }

  #shifting(mu: number | undefined): (sigma: number) => number {
    const { use_dynamic_shifting, flow_shift, time_shift_type } = this.config;
    if (!use_dynamic_shifting) return (sigma) => flow_shift * sigma / (1 + (flow_shift - 1) * sigma);
    if (mu === undefined) {
      throw new TypeError(
        "Cannot set timesteps: expected mu, as the config has use_dynamic_shifting, got none",
      );
    }
    const shift = time_shift_type === "exponential" ? Math.exp(mu) : mu;
    return (sigma) => shift / (shift + (1 / sigma - 1));
  }
}

/** One weighted sum, if it has an end. */
function update(weights: StepWeights, sample: Tensor, outputs: readonly Tensor[]): Tensor {
  const terms = weights.outputs.map((weight, i): Term => [weight, outputs[i]!]);
  if (terms.every(([weight]) => Number.isFinite(weight))) {
    return weightedSum([weights.sample, sample], ...terms);
  }
  throw new Error(
    'Cannot step to σ = 0 without predict_x0 or lower_order_final: set final_sigmas_type to "sigma_min"',
  );
}
