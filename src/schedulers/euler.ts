import { z } from "zod";
import { linspaceF32 } from "../core/math.ts";
import { flag } from "../io/config.ts";
import { randn } from "../random/mod.ts";
import { type Tensor, weightedSum } from "../tensor/mod.ts";
import type { StepOptions, StepOutput } from "./step.ts";
import { SigmaScheduler, type VarianceExplodingConfig, varianceExplodingConfig } from "./sigma_scheduler.ts";
import {
  finalSigma,
  type FinalSigmas,
  type Levels,
  type SigmaConfig,
  sigmaConfig,
  sigmaToTimestep,
} from "./sigmas.ts";
import { checkedFalling, readSchedule, type Schedule } from "./timesteps.ts";

const f32 = Math.fround;

/** The largest f32. */
const MAX_F32 = f32(3.4028234e38);

/** The keys of an Euler scheduler_config.json. */
export interface EulerConfig extends VarianceExplodingConfig, SigmaConfig {
  /**
   * "linear" takes σ at the timesteps; "log_linear" spreads it evenly in log σ instead.
   */
  interpolation_type: "linear" | "log_linear";
  /**
   * "continuous" tells a model of type v_prediction ¼ log σ instead of a timestep
   * (Karras et al. 2022, table 1).
   */
  timestep_type: "discrete" | "continuous";
  /** Ends at pure noise (Lin et al. 2023). */
  rescale_betas_zero_snr: boolean;
  /** σ where the last step ends. */
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
    super(schema, config, { knowsZeroSnr: true });
  }

  /** Spreads so many steps, or takes falling timesteps, or falling sigmas with the one where the last step ends. */
  setTimesteps(schedule: number | Schedule): void {
    const { timesteps, sigmas } = this.#levels(readSchedule(schedule, ["steps", "timesteps", "sigmas"]));
    const quarterLog = (_: number, i: number) => 0.25 * Math.log(f32(sigmas[i]!));
    this.visit((this.#continuous ? timesteps.map(quarterLog) : timesteps).map(f32), sigmas.map(f32));
  }

  /**
   * One step from σ, or from σ̂ above it with new noise, to the next σ': x + (x − x̂_0)/σ̂ · (σ' − σ̂). Rounded
   * at each operation as in torch: next to a large σ, as the 4096 of zero terminal SNR, x − x̂_0 loses bits that
   * the result shows.
   */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: ChurnOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options, CHURN_OPTIONS);
    const [sigma, next] = this.sigmas.slice(this.enter(t)) as [number, number];
    const { sample: x, sigma: sigmaHat } = addChurn(sample, sigma, this.sigmas.length - 1, options);
    const sigmaOfOutput = this.config.prediction_type === "v_prediction" ? sigma : sigmaHat; // as in diffusers
    const x0 = this.predictOriginal(modelOutput, sigmaOfOutput, x);
    const derivative = x.sub(x0).div(sigmaHat);
    const dt = f32(next - sigmaHat);
    const change = derivative.mul(dt).clamp(-MAX_F32, MAX_F32); // between · and +, which drivers would fuse
    const prevSample = x.add(change);
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

/**
 * `count` + 1 noise levels even in log σ from the last of a rising table to its first, rounded as
 * `torch.linspace`.
 */
export function logLinearSigmas(sigmas: Float32Array | readonly number[], count: number): number[] {
  const [low, high] = [Math.log(sigmas[0]!), Math.log(sigmas[sigmas.length - 1]!)] as const;
  return [...linspaceF32(high, low, count + 1).map(Math.exp)];
}

/** The noise that a step adds before it goes on (Karras et al. 2022, https://arxiv.org/abs/2206.00364). */
export interface ChurnOptions extends StepOptions {
  /** Noise in all, spread over the steps; 0 for none. */
  sChurn?: number | undefined;
  /** The smallest σ at which noise is added. */
  sTmin?: number | undefined;
  /** The largest σ at which noise is added. */
  sTmax?: number | undefined;
  /** Standard deviation of that noise. */
  sNoise?: number | undefined;
}

/** The names of these options besides the generator. */
export const CHURN_OPTIONS = ["sChurn", "sTmin", "sTmax", "sNoise"] satisfies (keyof ChurnOptions)[];

/** The sample raised from σ to σ̂ by new noise (Algorithm 2, lines 4 to 6), one of so many steps. */
export function addChurn(
  sample: Tensor,
  sigma: number,
  steps: number,
  { sChurn = 0, sTmin = 0, sTmax = Infinity, sNoise = 1, generator }: ChurnOptions,
): { sample: Tensor; sigma: number } {
  const gamma = sigma >= f32(sTmin) && sigma <= f32(sTmax) ? Math.min(sChurn / steps, Math.SQRT2 - 1) : 0;
  if (!(gamma > 0)) return { sample, sigma };
  const sigmaHat = f32(sigma * f32(gamma + 1));
  const deviation = Math.sqrt(f32(f32(sigmaHat ** 2) - f32(sigma ** 2))); // rounded as in torch, as it cancels
  const noise = randn(sample.shape, { generator });
  return { sample: weightedSum([1, sample], [sNoise * deviation, noise]), sigma: sigmaHat };
}
