import { z } from "zod";
import { flag } from "../io/config.ts";
import { type Tensor, type Term, weightedSum } from "../tensor/mod.ts";
import { type AlphaConfig, alphaConfig, AlphaScheduler } from "./alpha_scheduler.ts";
import { type StepOptions, type StepOutput, stepOutput } from "./step.ts";
import { readSchedule, type Schedule, spacedTimesteps } from "./timesteps.ts";

/** The keys of a PNDM scheduler_config.json. */
export interface PNDMConfig extends AlphaConfig {
  /** The course of β; PNDM knows these three. */
  beta_schedule: "linear" | "scaled_linear" | "squaredcos_cap_v2";
  /** The kind of the model's output; PNDM knows these two. */
  prediction_type: "epsilon" | "v_prediction";
  /** Begins with linear multisteps of low order instead of twelve model calls of Runge-Kutta. */
  skip_prk_steps: boolean;
  /** True ends the last step at ᾱ = 1, false at ᾱ_0. */
  set_alpha_to_one: boolean;
}

const schema = z.looseObject({
  ...alphaConfig,
  clip_sample: flag(false),
  prediction_type: z.enum(["epsilon", "v_prediction"]).default("epsilon"),
  skip_prk_steps: flag(false),
  set_alpha_to_one: flag(false),
});

/**
 * Adams-Bashforth weights of the outputs, the newest first, by how many there are (Liu et al. 2022, eq. 9).
 */
export const multistep = [
  [1],
  [3 / 2, -1 / 2],
  [23 / 12, -16 / 12, 5 / 12],
  [55 / 24, -59 / 24, 37 / 24, -9 / 24],
];

/** Runge-Kutta weights of the four model calls of a step. */
const rungeKutta = [1 / 6, 1 / 3, 1 / 3, 1 / 6];

/** Pseudo numerical methods for diffusion models (Liu et al. 2022, https://arxiv.org/abs/2202.09778). */
export class PNDMScheduler extends AlphaScheduler<PNDMConfig> {
  #stride = 0;
  #steps = 0;
  /** The number of timesteps that Runge-Kutta visits first. */
  #prk = 0;

  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<PNDMConfig> = {}) {
    super(schema, config, { knowsZeroSnr: false });
  }

  /** Spreads so many timesteps over those of training. Some of the first are visited more than once. */
  setTimesteps(schedule: number | Schedule): void {
    const { steps = 0 } = readSchedule(schedule, ["steps"]);
    const { num_train_timesteps, skip_prk_steps } = this.config;
    const timesteps = spacedTimesteps(this.config, steps);
    const stride = Math.floor(num_train_timesteps / steps);
    const prk = skip_prk_steps ? [] : rungeKuttaTimesteps(timesteps, stride);
    this.visit(
      skip_prk_steps
        ? [...timesteps.slice(0, 2), ...timesteps.slice(1)] // the first step is taken twice
        : [...prk, ...timesteps.slice(3)],
    );
    [this.#steps, this.#stride, this.#prk] = [steps, stride, prk.length];
  }

  /** Steps that the user asked for. */
  override get stepCount(): number {
    return this.#steps;
  }

  /** Tells where a loop begins. Runge-Kutta steps cannot be entered half way. */
  override setBeginIndex(index: number): void {
    this.#expectBegin(index);
    super.setBeginIndex(index);
  }

  /**
   * One model call's part of a step: Runge-Kutta at first unless the config skips it, then linear multistep.
   */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: StepOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options);
    const index = this.enter(t);
    const { beginIndex = index } = this;
    this.#expectBegin(beginIndex);
    const prevSample = index < this.#prk
      ? this.#stepRungeKutta(modelOutput, t, sample, index)
      : this.#stepMultistep(modelOutput, t, sample, index - beginIndex);
    return stepOutput(prevSample, () => this.predictOriginal(modelOutput, this.alphasCumprod[t]!, sample));
  }

  #expectBegin(index: number): void {
    if (index === 0 || this.#prk === 0) return;
    throw new Error("Cannot begin within the Runge-Kutta steps of PNDM: set skip_prk_steps in the config");
  }

  #stepRungeKutta(modelOutput: Tensor, t: number, sample: Tensor, index: number): Tensor {
    const place = index % 4;
    const [start, ...before] = (place === 0 ? [sample, ...this.remembered] : this.remembered) as readonly [
      Tensor,
      ...Tensor[],
    ];
    const outputs = [...before.slice(0, place), modelOutput]; // of this step
    const steps = place === 0 ? [modelOutput, ...before] : before.slice(place); // of each step the first, newest first
    const to = place % 2 === 0 ? t - Math.floor(this.#stride / 2) : t;
    const slope: Term[] = place < 3
      ? [[1, modelOutput]]
      : outputs.map((output, i): Term => [rungeKutta[i]!, output]);
    const prevSample = this.#transfer(start, this.timesteps[index - place]!, to, slope);
    this.advance(place < 3 ? [start, ...outputs, ...steps] : steps);
    return prevSample;
  }

  /**
   * `count` is that of the calls before.
   * The second call takes the first step again, with the mean of both slopes.
   */
  #stepMultistep(modelOutput: Tensor, t: number, sample: Tensor, count: number): Tensor {
    if (count === 1) {
      const [start, first] = this.remembered as readonly [Tensor, Tensor];
      const slope: Term[] = [[1 / 2, modelOutput], [1 / 2, first]];
      const prevSample = this.#transfer(start, t + this.#stride, t, slope);
      this.advance([first]);
      return prevSample;
    }
    const outputs = [modelOutput, ...this.remembered.slice(0, 3)]; // the newest first
    const slope = multistep[outputs.length - 1]!.map((weight, i): Term => [weight, outputs[i]!]);
    const prevSample = this.#transfer(sample, t, t - this.#stride, slope);
    this.advance(count === 0 ? [sample, modelOutput] : outputs);
    return prevSample;
  }

  /** From one timestep to another along a slope, a weighted sum of model outputs (eq. 11). */
  #transfer(sample: Tensor, from: number, to: number, slope: readonly Term[]): Tensor {
    const a = this.alphasCumprod[from]!;
    const aTo = to >= 0 ? this.alphasCumprod[to]! : this.#finalAlpha;
    const along = (a - aTo) / (a * Math.sqrt(1 - aTo) + Math.sqrt(a * (1 - a) * aTo)); // weight of ε
    const isVelocity = this.config.prediction_type === "v_prediction";
    const [ofOutput, ofSample] = isVelocity ? [Math.sqrt(a), Math.sqrt(1 - a)] : [1, 0]; // ε = √ᾱ v + √(1−ᾱ) x
    return weightedSum(
      [Math.sqrt(aTo / a) + along * ofSample, sample],
      ...slope.map(([weight, output]): Term => [along * ofOutput * weight, output]),
    );
  }

  /** ᾱ where the last step ends. */
  get #finalAlpha(): number {
    return this.config.set_alpha_to_one ? 1 : this.alphasCumprod[0]!;
  }
}

/** The twelve timesteps of the first three steps: each at its begin, twice half way, and at its end. */
function rungeKuttaTimesteps(timesteps: readonly number[], stride: number): number[] {
  if (timesteps.length < 4) {
    throw new RangeError(
      `Cannot set timesteps: expected at least 4 steps, as PNDM begins with Runge-Kutta, got ${timesteps.length}; ` +
        "or set skip_prk_steps in the config",
    );
  }
  const half = Math.floor(stride / 2);
  return [0, 1, 2].flatMap((i) => {
    const [begin, end] = timesteps.slice(i, i + 2) as [number, number];
    return [begin, end + half, end + half, end];
  });
}
