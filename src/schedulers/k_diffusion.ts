import { z } from "zod";
import { flag } from "../io/config.ts";
import type { Tensor } from "../tensor/mod.ts";
import type { SamplerSettings, Step } from "./k_diffusion/plan.ts";
import { samplerMethods, type SamplerName, SAMPLERS } from "./k_diffusion/samplers.ts";
import { predictionType } from "./model_output.ts";
import { PlannedScheduler, type StepNoise } from "./planned_scheduler.ts";
import type { NoiseWeights, StepOptions, StepOutput } from "./step.ts";
import { type SigmaSchedulerConfig, varianceExplodingConfig } from "./sigma_scheduler.ts";
import {
  flowLevels,
  noiseLevels,
  SIGMA_SCHEDULES,
  type SigmaScheduleName,
  spreadSteps,
} from "./sigma_schedules.ts";
import { flowSigmas, shiftedSigma, type SigmaConfig, sigmaConfig, sigmaToTimestep } from "./sigmas.ts";
import { checkedFalling, readSchedule, type Schedule } from "./timesteps.ts";

const f32 = Math.fround;

/** The keys of KDiffusionScheduler. */
export interface KDiffusionConfig
  extends SigmaSchedulerConfig, SigmaConfig, Omit<SamplerSettings, "eta" | "s_tmax"> {
  /** The function of k-diffusion or ComfyUI whose steps are done, without "sample_". */
  sampler: SamplerName;
  /** The spread of σ by its name there; null spreads as the other keys say, which diffusers' classes have too. */
  sigma_schedule: SigmaScheduleName | null;
  /** Part of the reverse SDE's noise; null for what the function does by default. */
  eta: number | null;
  /** The largest σ at which churn adds noise; null for any. */
  s_tmax: number | null;
  /** Ends at pure noise (Lin et al. 2023). */
  rescale_betas_zero_snr: boolean;
  /** Seed of the noise of the SDE's samplers; null for that of the generator. */
  noise_sampler_seed: number | null;
  /** The model was trained on a flow: x = (1 − σ) x_0 + σ ε. */
  use_flow_sigmas: boolean;
  /** Moves the noise levels of a flow towards 1. */
  flow_shift: number;
  /** Takes the shift from each picture's size, which setTimesteps() takes as `mu`. */
  use_dynamic_shifting: boolean;
}

const schema = z.looseObject({
  ...varianceExplodingConfig,
  ...sigmaConfig,
  sampler: z.enum(SAMPLERS).default("euler"),
  sigma_schedule: z.enum(SIGMA_SCHEDULES).nullable().default(null),
  eta: z.number().min(0).nullable().default(null),
  s_noise: z.number().min(0).default(1),
  s_churn: z.number().min(0).default(0),
  s_tmin: z.number().min(0).default(0),
  s_tmax: z.number().positive().nullable().default(null),
  order: z.int().min(1).default(4),
  prediction_type: z.enum([...predictionType.unwrap().options, "flow_prediction"]).default("epsilon"),
  rescale_betas_zero_snr: flag(false),
  noise_sampler_seed: z.int().nullable().default(null),
  use_flow_sigmas: flag(false),
  flow_shift: z.number().positive().default(1),
  use_dynamic_shifting: flag(false),
});

/**
 * The samplers of k-diffusion (https://github.com/crowsonkb/k-diffusion), and those that ComfyUI added, by `sampler` in the
 * config. With churn the loop begins at the first σ̂: the noise of the first step's churn is part of what it begins with.
 */
export class KDiffusionScheduler extends PlannedScheduler<KDiffusionConfig> {
  /** The shift of the flow's levels. */
  #usedShift = 1;

  /** A scheduler with k-diffusion's defaults where `config` names nothing else. */
  constructor(config: Partial<KDiffusionConfig> = {}) {
    super(schema, config, { knowsZeroSnr: true });
  }

  /** Model calls that most steps take. */
  override get order(): number {
    return samplerMethods[this.config.sampler].calls;
  }

  /** Standard deviation of the noise to begin with; that of a flow is whole. */
  override get initNoiseSigma(): number {
    return this.config.use_flow_sigmas ? 1 : super.initNoiseSigma;
  }

  /** Spreads so many steps, or takes falling sigmas with the one where the last step ends. */
  setTimesteps(schedule: number | Schedule): void {
    const { use_flow_sigmas, num_train_timesteps } = this.config;
    const takes = ["steps", "sigmas", ...use_flow_sigmas ? ["mu"] as const : []] as const;
    const { steps = 0, sigmas, mu } = readSchedule(schedule, takes);
    const levels = sigmas
      ? checkedFalling(sigmas, "sigmas", { most: use_flow_sigmas ? 1 : Infinity, least: 0 })
      : this.#spread(steps, mu);
    if (levels.length < 2) {
      throw new RangeError(
        "Cannot set sigmas: expected at least two, the last being where the last step ends, got one",
      );
    }
    this.#usedShift = use_flow_sigmas ? this.#shift(mu) : 1;
    this.visitLevels(levels, ({ sigma }) => ({
      timestep: use_flow_sigmas
        ? f32(sigma * num_train_timesteps)
        : sigmaToTimestep(sigma, this.table.logSigmas, f32),
      sigma,
    }));
  }

  /** The sample at unit variance, as the model was trained; that of a flow as it is. */
  override scaleModelInput(sample: Tensor, t: number): Tensor {
    return this.config.use_flow_sigmas ? sample : super.scaleModelInput(sample, t);
  }

  /** The sample for the next call of the model, which may be another of the same step. */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: StepOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options);
    return this.sumStep(modelOutput, t, sample, options);
  }

  /** Terms of the sums, as the sampler says. */
  protected override get terms(): "denoised" | "derivative" {
    return samplerMethods[this.config.sampler].of;
  }

  /** The noise of the steps, as the sampler says. */
  protected override get noise(): StepNoise {
    const { sampler, noise_sampler_seed: seed } = this.config;
    return { kind: samplerMethods[sampler].noise ?? "new", seed };
  }

  /** The steps of the sampler over such σ. */
  protected override stepsOf(sigmas: readonly number[], begin: number): Step[] {
    const { sampler, eta, s_tmax, use_flow_sigmas: flow } = this.config;
    const { plan, eta: usual } = samplerMethods[sampler];
    const levels = sigmas.map((at) => this.#finiteSnr(at));
    return plan({
      ...this.config,
      sigmas: levels,
      begin,
      flow,
      eta: eta ?? usual,
      s_tmax: s_tmax ?? Infinity,
    });
  }

  /** x = x_0 + σ ε; of a flow (1 − σ) x_0 + σ ε. */
  protected override noiseWeights(t: number): NoiseWeights {
    const [image, noise] = super.noiseWeights(t);
    return this.config.use_flow_sigmas ? [1 - noise, noise] : [image, noise];
  }

  #spread(steps: number, mu: number | undefined): number[] {
    const { sigma_schedule, use_flow_sigmas, num_train_timesteps } = this.config;
    if (sigma_schedule) {
      const levels = use_flow_sigmas
        ? flowLevels(num_train_timesteps, this.#shift(mu))
        : noiseLevels(this.table);
      return spreadSteps(sigma_schedule, steps, levels);
    }
    if (use_flow_sigmas) return [...flowSigmas(steps, this.#shift(mu), num_train_timesteps), 0];
    return [...this.levels(this.spacedTimesteps(steps), this.config).sigmas, 0];
  }

  #shift(mu: number | undefined): number {
    const { flow_shift, use_dynamic_shifting } = this.config;
    if (mu === undefined) return flow_shift;
    if (use_dynamic_shifting) return Math.exp(mu);
    throw new TypeError(
      "Cannot set timesteps with mu: expected use_dynamic_shifting in the config, got false",
    );
  }

  /** A flow's first σ where it is 1, moved by a ten-thousandth of the way, as ComfyUI does for methods over log SNR. */
  #finiteSnr(sigma: number): number {
    const { sampler, use_flow_sigmas } = this.config;
    if (!use_flow_sigmas || sigma < 1 || !samplerMethods[sampler].needsSnr) return sigma;
    return f32(shiftedSigma(1 - 1e-4, this.#usedShift));
  }
}
