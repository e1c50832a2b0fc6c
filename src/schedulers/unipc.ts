import { z } from "zod";
import { linspace, solve } from "../core/math.ts";
import { flag } from "../io/config.ts";
import type { Tensor } from "../tensor/mod.ts";
import { choice } from "./config.ts";
import type { StepWeights } from "./dpm_weights.ts";
import { Scheduler, type SchedulerState } from "./scheduler.ts";
import type { StepOptions, StepOutput } from "./step.ts";
import { finalSigma, type Levels, type NoiseLevel } from "./sigmas.ts";
import { applyWeights, type SolverConfig, solverConfig, SolverScheduler } from "./solver_scheduler.ts";
import { checkedCount, checkedFalling, readSchedule, type Schedule } from "./timesteps.ts";

const f32 = Math.fround;

/** The keys that choose UniPC's formula. */
export interface UniPCMethod {
  /** Over the image that the model sees, or over the noise. */
  predict_x0: boolean;
  /** B(h), by which the corrections are scaled: h or e^h − 1. */
  solver_type: "bh1" | "bh2";
}

/** The keys of a UniPCMultistep scheduler_config.json. */
export interface UniPCMultistepConfig extends SolverConfig, UniPCMethod {
  /** Indices of steps that are not corrected. */
  disable_corrector: number[];
  /** A scheduler that predicts instead of UniP. */
  solver_p: Scheduler | null;
  /** The factor that mu stands for: exp(mu), or mu itself. */
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
      spread.sigmas = spread.sigmas.map((sigma) => sigma / (sigma + 1)); // of a flow, from σ relative to an image of unit scale
      spread.timesteps = spread.sigmas.map((sigma) => sigma * num_train_timesteps);
    }
    const levels = spread ?? (use_flow_sigmas || sigmas ? this.#flow(steps, sigmas, mu) : undefined);
    if (levels) this.visitLevels(levels, final_sigmas_type === "zero" ? 0 : levels.sigmas.at(-1)!);
    else this.visitLevels(this.spacedLevels(steps), finalSigma(final_sigmas_type, this.table.sigmas));
    solver_p?.setTimesteps(this.timesteps.length);
  }

  /** Corrects the last step by the model's output at its end (UniC), then takes the next one (UniP). */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: StepOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options);
    const index = this.enter(t);
    const { predict_x0, solver_p } = this.config;
    const [lastSample, ...earlier] = this.remembered as readonly [Tensor, ...Tensor[]];
    const output = this.convertModelOutput(modelOutput, index, sample, predict_x0);
    const outputs = [output, ...earlier]; // the newest first
    const corrected = this.#corrects(index) ? this.#correct(index, lastSample, outputs) : sample;

    const order = this.#order(index, outputs.length);
    const prevSample = solver_p
      ? solver_p.step(modelOutput, t, corrected).prevSample
      : this.#predict(index, order, corrected, outputs);
    this.advance([corrected, ...outputs.slice(0, this.config.solver_order)]);
    return this.output(prevSample, modelOutput, index, sample);
  }

  /** The state with that of solver_p. */
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
    return this.remembered.length > 0 && !this.config.disable_corrector.includes(index - 1);
  }

  #order(index: number, outputs: number): number {
    const { solver_order, lower_order_final } = this.config;
    return Math.min(solver_order, outputs, lower_order_final ? this.timesteps.length - index : Infinity);
  }

  /** The levels of a flow as they are given or even, shifted, and stretched to end at shift_terminal. */
  #flow(steps: number, given: readonly number[] | undefined, mu: number | undefined): Levels {
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
  if (weights.outputs.every(Number.isFinite)) return applyWeights(weights, sample, outputs);
  throw new Error(
    'Cannot step to σ = 0 without predict_x0 or lower_order_final: set final_sigmas_type to "sigma_min"',
  );
}

/** UniP: a step to `t` from the levels `s`, the newest first, by the outputs there. */
function predictorWeights(method: UniPCMethod, t: NoiseLevel, s: readonly NoiseLevel[]): StepWeights {
  const { scale, ratios, moments, ...weights } = expand(method, t, s);
  const rho = s.length === 2 ? [0.5] : solveFor(ratios, moments);
  return { ...weights, outputs: differences(weights.constant, scale, ratios, rho) };
}

/**
 * UniC: the step to `t` once more, now that the output there is known too; its weight is the first of all.
 */
function correctorWeights(method: UniPCMethod, t: NoiseLevel, s: readonly NoiseLevel[]): StepWeights {
  const { scale, ratios, moments, ...weights } = expand(method, t, s);
  const rho = s.length === 1 ? [0.5] : solveFor([...ratios, 1], moments);
  const last = scale * rho[rho.length - 1]!; // of the new output less the newest of the others
  const [newest, ...earlier] = differences(weights.constant, scale, ratios, rho) as [number, ...number[]];
  return { ...weights, outputs: [last, newest - last, ...earlier] };
}

/** The part of the formula that both share (Zhao et al. 2023, https://arxiv.org/abs/2302.04867, eq. 6 to 9). */
function expand({ predict_x0, solver_type }: UniPCMethod, t: NoiseLevel, s: readonly NoiseLevel[]) {
  const h = f32(t.lambda - s[0]!.lambda);
  const hh = predict_x0 ? -h : h;
  const phi1 = Math.expm1(hh);
  const unit = solver_type === "bh1" ? hh : phi1; // B(h)
  const [sample, size] = predict_x0 ? [t.sigma / s[0]!.sigma, t.alpha] : [t.alpha / s[0]!.alpha, t.sigma];
  const moments: number[] = [];
  let [phi, factorial] = [phi1 / hh - 1, 1];
  for (let i = 1; i <= s.length; i++) {
    moments.push(phi * factorial / unit);
    factorial *= i + 1;
    phi = phi / hh - 1 / factorial;
  }
  return {
    sample,
    noise: 0,
    constant: -size * phi1,
    scale: -size * unit,
    moments,
    /** λ of the older levels less that of the newest, in steps. */
    ratios: s.slice(1).map(({ lambda }) => f32(lambda - s[0]!.lambda) / h),
  };
}

/**
 * Weights ρ by which powers of the ratios have the right moments: the first equations, as many as unknowns.
 */
function solveFor(ratios: readonly number[], moments: readonly number[]): number[] {
  return solve(
    ratios.map((_, power) => ratios.map((ratio) => ratio ** power)),
    moments.slice(0, ratios.length),
  );
}

/** The newest output by `constant`, and the others' differences from it by ρ. */
function differences(
  constant: number,
  scale: number,
  ratios: readonly number[],
  rho: readonly number[],
): number[] {
  const others = ratios.map((ratio, i) => scale * rho[i]! / ratio);
  return [others.reduce((sum, weight) => sum - weight, constant), ...others];
}
