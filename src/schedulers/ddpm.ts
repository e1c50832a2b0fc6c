import { z } from "zod";
import { randn } from "../random/mod.ts";
import { type Tensor, type Term, weightedSum } from "../tensor/mod.ts";
import { type AlphaConfig, alphaConfig, AlphaScheduler } from "./alpha_scheduler.ts";
import type { StepOptions, StepOutput } from "./step.ts";
import { checkedTimesteps, readSchedule, type Schedule, spacedTimesteps } from "./timesteps.ts";

/** The keys of a DDPM scheduler_config.json. */
export interface DDPMConfig extends AlphaConfig {
  /** The variance of the noise that a step adds: β̃ of eq. 7, β, or what the model learned. */
  variance_type: "fixed_small" | "fixed_small_log" | "fixed_large" | "learned" | "learned_range";
}

const schema = z.looseObject({
  ...alphaConfig,
  beta_schedule: z.enum(["linear", "scaled_linear", "squaredcos_cap_v2", "laplace", "sigmoid"])
    .default("linear"),
  // Not fixed_large_log: diffusers takes the square root of a logarithm below 0 there, and every sample is NaN.
  variance_type: z.enum(["fixed_small", "fixed_small_log", "fixed_large", "learned", "learned_range"])
    .nullish().transform((type) => type ?? "fixed_small"), // solvers save null, which diffusers takes so
});

/**
 * Denoising diffusion probabilistic models (Ho et al. 2020, https://arxiv.org/abs/2006.11239), Algorithm 2.
 */
export class DDPMScheduler extends AlphaScheduler<DDPMConfig> {
  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<DDPMConfig> = {}) {
    super(schema, config);
  }

  /** Spreads so many timesteps over those of training, or takes a falling list of them. */
  setTimesteps(schedule: number | Schedule): void {
    const { steps = 0, timesteps } = readSchedule(schedule, ["steps", "timesteps"]);
    this.visit(timesteps ? checkedTimesteps(this.config, timesteps) : spacedTimesteps(this.config, steps));
  }

  /**
   * One step back, x_t → x_{t−1}: the posterior mean of eq. 7 plus noise (Algorithm 2), which the last step
   * leaves out.
   */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: StepOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options);
    const { generator } = options;
    const previous = this.timesteps[this.indexOf(t) + 1] ?? -1;
    const a = this.alphasCumprod[t]!; // ᾱ_t
    const aPrev = this.alphasCumprod[previous] ?? 1; // the last step ends at ᾱ = 1
    const alpha = Math.fround(a / aPrev); // rounded as in torch, since little is left of it in 1 − alpha
    const [output, spread] = this.#splitVariance(modelOutput, sample);

    const x0 = this.predictOriginal(output, a, sample); // eq. 15
    const terms: Term[] = [
      [Math.sqrt(aPrev) * (1 - alpha) / (1 - a), x0],
      [Math.sqrt(alpha) * (1 - aPrev) / (1 - a), sample],
    ];
    if (t > 0) {
      const noise = randn(sample.shape, { generator });
      const beta = 1 - alpha;
      const posterior = Math.max((1 - aPrev) / (1 - a) * beta, 1e-20); // β̃ of eq. 7, kept from 0 for its logarithm
      if (spread) terms.push([1, noise.mul(this.#learnedDeviation(spread, posterior, beta))]);
      else terms.push([Math.sqrt(this.config.variance_type === "fixed_large" ? beta : posterior), noise]);
    }
    return { prevSample: weightedSum(...terms), predOriginalSample: x0 };
  }

  /** A model that learned its variance returns it as further channels: [B, 2C, …] → [B, C, …] twice. */
  #splitVariance(modelOutput: Tensor, sample: Tensor): [output: Tensor, spread?: Tensor] {
    const { variance_type } = this.config;
    if (variance_type !== "learned" && variance_type !== "learned_range") return [modelOutput];
    const C = sample.shape[1]!;
    if (modelOutput.shape[1] === 2 * C) {
      const [output, spread] = modelOutput.split([C, C], 1) as [Tensor, Tensor];
      return [output, spread];
    }
    throw new RangeError(
      `Cannot step with variance_type "${variance_type}": expected a model output of ${2 * C} channels, ` +
        `got ${modelOutput.shape[1]}`,
    );
  }

  /**
   * Standard deviation from what the model learned: the variance itself, or in [−1, 1] its place between the
   * logarithms of its bounds (Nichol & Dhariwal 2021, eq. 15).
   */
  #learnedDeviation(spread: Tensor, posterior: number, beta: number): Tensor {
    if (this.config.variance_type === "learned") return spread.sqrt();
    const [low, high] = [Math.log(posterior), Math.log(beta)];
    return spread.mul((high - low) / 4).add((high + low) / 4).exp();
  }
}
