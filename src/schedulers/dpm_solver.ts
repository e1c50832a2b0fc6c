import { randn } from "../random/mod.ts";
import { type Tensor, type Term, weightedSum } from "../tensor/mod.ts";
import type { DPMSolverMethod, StepWeights } from "./dpm_weights.ts";
import { readSchedule } from "./schedule.ts";
import type { Schedule, StepOptions } from "./scheduler.ts";
import { finalSigma } from "./sigmas.ts";
import { SolverScheduler, type Spread } from "./solver_scheduler.ts";
import type { DPMSolverConfig } from "./solver_config.ts";
import { checkedTimesteps } from "./timesteps.ts";

/** What step() of a DPM-Solver may be told. */
export interface DPMSolverStepOptions extends StepOptions {
  /** The noise that a step of the SDE adds, instead of a generator. */
  varianceNoise?: Tensor | undefined;
}

/** What the multistep and the singlestep DPM-Solver have in common. */
export abstract class DPMSolverScheduler<Config extends DPMSolverConfig & DPMSolverMethod>
  extends SolverScheduler<Config> {
  /** Spreads so many timesteps over those of training, or takes a falling list of them. */
  setTimesteps(schedule: number | Schedule): void {
    const { steps, timesteps, mu } = readSchedule(schedule, ["steps", "timesteps", "mu"]);
    const { final_sigmas_type } = this.config;
    const spread = timesteps ? this.#given(timesteps) : this.spread(steps!, this.flowShift(mu));
    this.visit(spread, finalSigma(final_sigmas_type, this.table.sigmas));
  }

  /** Timesteps and levels as the config spreads them. */
  protected abstract spread(count: number, flowShift: number): Spread;

  /** The first timestep whose λ is clipped. */
  protected get clippedEnd(): number {
    const { num_train_timesteps, lambda_min_clipped } = this.config;
    return num_train_timesteps -
      lambdas(this.table.alphasCumprod).filter((x) => x < lambda_min_clipped).length;
  }

  /** What the method integrates: x̂_0 or ε̂. */
  protected convert(modelOutput: Tensor, index: number, sample: Tensor): Tensor {
    return this.config.algorithm_type.endsWith("++")
      ? this.predictOriginal(modelOutput, index, sample)
      : this.predictNoise(modelOutput, index, sample);
  }

  /** The step itself, one weighted sum. */
  protected update(
    weights: StepWeights,
    sample: Tensor,
    outputs: readonly Tensor[],
    { generator, varianceNoise }: DPMSolverStepOptions,
  ): Tensor {
    const terms: Term[] = [[weights.sample, sample]];
    weights.outputs.forEach((weight, i) => terms.push([weight, outputs[i]!]));
    if (this.config.algorithm_type.startsWith("sde-")) {
      terms.push([weights.noise, varianceNoise ?? randn(sample.shape, { generator })]);
    }
    return weightedSum(...terms);
  }

  /** A model that learned its variance returns it as further channels: [B, 2C, …] → [B, C, …]. */
  protected mean(modelOutput: Tensor, sample: Tensor): Tensor {
    return this.config.variance_type ? modelOutput.slice(1, 0, sample.shape[1]) : modelOutput;
  }

  #given(timesteps: readonly number[]): Spread {
    const config = this.config;
    const other = ([
      "use_karras_sigmas",
      "use_exponential_sigmas",
      "use_beta_sigmas",
      "use_lu_lambdas",
      "use_flow_sigmas",
    ] as (keyof Config)[]).find((key) => config[key]);
    if (other) {
      throw new TypeError(
        `Cannot set timesteps: expected steps, as the config has ${String(other)}, got a list of timesteps`,
      );
    }
    return this.levelsOf(checkedTimesteps(config, timesteps));
  }
}

/** λ of each timestep of training, falling. */
function lambdas(alphasCumprod: Float32Array): Float32Array {
  const log = (x: Float32Array) => x.map(Math.sqrt).map(Math.log);
  const signal = log(alphasCumprod);
  const noise = log(alphasCumprod.map((bar) => 1 - bar));
  return signal.map((x, i) => x - noise[i]!);
}
