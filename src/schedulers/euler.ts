import { z } from "zod";
import { flag } from "../io/config.ts";
import type { Tensor } from "../tensor/mod.ts";
import { CHURN_OPTIONS, churned, type ChurnOptions } from "./churn.ts";
import { checkedFalling, readSchedule } from "./schedule.ts";
import type { Schedule, StepOutput } from "./scheduler.ts";
import {
  type Levels,
  SigmaScheduler,
  type VarianceExplodingConfig,
  varianceExplodingConfig,
} from "./sigma_scheduler.ts";
import {
  finalSigma,
  type FinalSigmas,
  logLinearSigmas,
  type SigmaConfig,
  sigmaConfig,
  sigmaToTimestep,
} from "./sigmas.ts";
import { toward } from "./toward.ts";

const f32 = Math.fround;

/** The keys of an Euler scheduler_config.json. */
export interface EulerConfig extends VarianceExplodingConfig, SigmaConfig {
  /**
   * How σ runs between the timesteps of training;
   * "log_linear" leaves the timesteps' own σ and is even in log σ.
   */
  interpolation_type: "linear" | "log_linear";
  /**
   * "continuous" tells a model of type v_prediction ¼ log σ instead of a timestep
   * (Karras et al. 2022, table 1).
   */
  timestep_type: "discrete" | "continuous";
  /** Ends at pure noise (Lin et al. 2023). */
  rescale_betas_zero_snr: boolean;
  /** Where the last step ends. */
  final_sigmas_type: FinalSigmas;
}

const schema = z.looseObject({
  ...varianceExplodingConfig,
  ...sigmaConfig,
  interpolation_type: z.enum(["linear", "log_linear"]).default("linear"),
  timestep_type: z.enum(["discrete", "continuous"]).nullable().default("discrete").transform((type) =>
    type ?? "discrete"
  ),
  rescale_betas_zero_snr: flag(false),
  final_sigmas_type: z.enum(["zero", "sigma_min"]).default("zero"),
});

/**
 * Euler's method (Karras et al. 2022, Algorithm 2 without its correction, https://arxiv.org/abs/2206.00364).
 */
export class EulerDiscreteScheduler extends SigmaScheduler<EulerConfig> {
  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<EulerConfig> = {}) {
    super(schema, config, ({ rescale_betas_zero_snr }) => rescale_betas_zero_snr);
  }

  /**
   * Spreads so many steps, or takes falling timesteps,
   * or falling sigmas with the one where the last step ends.
   */
  setTimesteps(schedule: number | Schedule): void {
    const { timesteps, sigmas } = this.#levels(readSchedule(schedule, ["steps", "timesteps", "sigmas"]));
    const quarterLog = (_: number, i: number) => 0.25 * Math.log(f32(sigmas[i]!));
    this.timesteps = (this.#continuous ? timesteps.map(quarterLog) : timesteps).map(f32);
    this.sigmas = sigmas.map(f32);
  }

  /** One step, from σ, or from σ̂ above it with new noise, to the next σ': as much less of the noise. */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: ChurnOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options, CHURN_OPTIONS);
    const [sigma, next] = this.sigmas.slice(this.enter(t)) as [number, number];
    const raised = churned(sample, sigma, this.sigmas.length - 1, options);
    const told = this.config.prediction_type === "v_prediction" ? sigma : raised.sigma; // as in diffusers
    const x0 = this.predictOriginal(modelOutput, told, raised.sample);
    const prevSample = toward(x0, raised.sample, raised.sigma, next);
    this.advance();
    return { prevSample, predOriginalSample: x0 };
  }

  get #continuous(): boolean {
    return this.config.timestep_type === "continuous" && this.config.prediction_type === "v_prediction";
  }

  #chosen(timesteps: readonly number[]): number[] {
    if (!this.#continuous) return this.chosenTimesteps(timesteps, this.config);
    throw new TypeError(
      'Cannot set timesteps by a list: expected steps or sigmas with timestep_type "continuous"',
    );
  }

  #levels({ steps = 0, timesteps, sigmas }: Schedule): Levels {
    const { logSigmas, sigmas: table } = this.table;
    if (sigmas) {
      const falling = checkedFalling(sigmas, "sigmas", { most: Infinity, least: 0 }).map(f32);
      if (falling.length < 2) {
        throw new RangeError(
          "Cannot set sigmas: expected at least two, the last being where the last step ends, got one",
        );
      }
      return {
        timesteps: falling.slice(0, -1).map((sigma) => sigmaToTimestep(sigma, logSigmas, f32)),
        sigmas: falling,
      };
    }
    const spaced = timesteps ? this.#chosen(timesteps) : this.spacedTimesteps(steps);
    const linear = this.config.interpolation_type === "linear";
    const own = linear ? undefined : logLinearSigmas(table, spaced.length);
    const levels = this.levels(spaced, this.config, own);
    return { ...levels, sigmas: [...levels.sigmas, finalSigma(this.config.final_sigmas_type, table)] };
  }
}
