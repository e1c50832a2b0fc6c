import { z } from "zod";
import { flag } from "../io/config.ts";
import { randn } from "../random/mod.ts";
import { type Tensor, type Term, weightedSum } from "../tensor/mod.ts";
import { type AlphaConfig, alphaConfig, AlphaScheduler, noiseIn } from "./alpha_scheduler.ts";
import type { StepOptions, StepOutput } from "./step.ts";
import { readSchedule, type Schedule, spacedTimesteps } from "./timesteps.ts";

const f32 = Math.fround;

/** The keys of a DDIM scheduler_config.json. */
export interface DDIMConfig extends AlphaConfig {
  /** The course of β; DDIM knows these three. */
  beta_schedule: "linear" | "scaled_linear" | "squaredcos_cap_v2";
  /** True ends the last step at ᾱ = 1, false at ᾱ_0. */
  set_alpha_to_one: boolean;
}

const schema = z.looseObject({
  ...alphaConfig,
  set_alpha_to_one: flag(true),
});

/** Options of DDIM's step(). */
export interface DDIMStepOptions extends StepOptions {
  /** Noise of a step as a share of DDPM's: 0 for none, 1 for as much. */
  eta?: number | undefined;
  /** Take ε again from the clipped x̂_0, as GLIDE does. */
  useClippedModelOutput?: boolean | undefined;
  /** The noise to add, instead of a generator. */
  varianceNoise?: Tensor | undefined;
}

/** Denoising diffusion implicit models (Song et al. 2020, https://arxiv.org/abs/2010.02502). */
export class DDIMScheduler extends AlphaScheduler<DDIMConfig> {
  #stride = 0;

  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<DDIMConfig> = {}) {
    super(schema, config);
  }

  /** Spreads so many timesteps over those of training. */
  setTimesteps(schedule: number | Schedule): void {
    const { steps = 0 } = readSchedule(schedule, ["steps"]);
    this.visit(spacedTimesteps(this.config, steps));
    this.#stride = Math.floor(this.config.num_train_timesteps / steps);
  }

  /**
   * One step back, x_t → x_{t−1} (eq. 12): towards x̂_0, along ε, and a part `eta` of DDPM's noise (eq. 16).
   */
  step(
    modelOutput: Tensor,
    t: number,
    sample: Tensor,
    options: DDIMStepOptions = {},
  ): StepOutput {
    this.expectStep(modelOutput, sample, options, ["eta", "useClippedModelOutput", "varianceNoise"]);
    const { eta = 0, useClippedModelOutput = false, generator, varianceNoise } = options;
    this.indexOf(t);
    const a = this.alphasCumprod[t]!; // ᾱ_t
    const aPrev = this.alphasCumprod[t - this.#stride] ?? this.#finalAlpha; // not of the next entry of timesteps
    const sigma = deviation(a, aPrev, eta);

    const x0 = this.predictOriginal(modelOutput, a, sample);
    const epsilon = useClippedModelOutput
      ? noiseIn(sample, x0, a)
      : this.predictNoise(modelOutput, a, sample);
    const terms: Term[] = [
      [Math.sqrt(aPrev), x0],
      [direction(aPrev, sigma), epsilon],
    ];
    if (eta > 0) terms.push([sigma, pickNoise(sample, generator, varianceNoise)]);
    return { prevSample: weightedSum(...terms), predOriginalSample: x0 };
  }

  /** ᾱ where the last step ends. */
  get #finalAlpha(): number {
    return this.config.set_alpha_to_one ? 1 : this.alphasCumprod[0]!;
  }
}

/** σ of eq. 16. It and the direction are rounded at each step as in torch, since their differences cancel. */
function deviation(a: number, aPrev: number, eta: number): number {
  const ratio = f32(f32(1 - aPrev) / f32(1 - a));
  const variance = f32(ratio * f32(1 - f32(a / aPrev)));
  return f32(eta * f32(Math.sqrt(variance)));
}

/** √(1 − ᾱ_{t−1} − σ²); at eta = 1 rounding may bring the difference just below 0. */
function direction(aPrev: number, sigma: number): number {
  const square = f32(f32(1 - aPrev) - f32(sigma ** 2));
  if (sigma >= 0 && square > -1e-6) return Math.sqrt(Math.max(square, 0));
  throw new RangeError(`Cannot step with noise of deviation ${sigma}: expected eta from 0 to 1`);
}

function pickNoise(sample: Tensor, generator: StepOptions["generator"], varianceNoise?: Tensor): Tensor {
  if (!varianceNoise) return randn(sample.shape, { generator });
  if (!generator) return varianceNoise;
  throw new TypeError("Cannot step with both generator and varianceNoise: expected one; leave the other out");
}
