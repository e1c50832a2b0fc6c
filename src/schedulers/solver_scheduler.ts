import type { z } from "zod";
import { type Tensor, weightedSum } from "../tensor/mod.ts";
import { type Level, levelOf } from "./level.ts";
import { linspace, roundHalfEven } from "../core/math.ts";
import { mix } from "./mix.ts";
import { checkedCount } from "./schedule.ts";
import { Scheduler, type StepOutput } from "./scheduler.ts";
import {
  flowSigmas,
  interpolate,
  type SigmaTable,
  sigmaTable,
  sigmaToTimestep,
  spreadSigmas,
} from "./sigmas.ts";
import type { SolverConfig } from "./solver_config.ts";
import { threshold } from "./threshold.ts";
import type { TimestepSpacing } from "./timesteps.ts";

/** Timesteps with their noise levels; σ where the last step ends is not among them. */
export interface Spread {
  /** What the model is told. */
  timesteps: number[];
  /** σ of each. */
  sigmas: number[];
}

/** A scheduler that solves the diffusion ODE or SDE from one noise level to the next. */
export abstract class SolverScheduler<Config extends SolverConfig> extends Scheduler<Config> {
  /** The noise of training. */
  protected readonly table: SigmaTable;
  #levels: Level[] = [];

  /** Checks the config and makes the table of noise levels. */
  protected constructor(schema: z.ZodType<Config>, config: object, { knowsZeroSnr = true } = {}) {
    super(schema, config);
    const { rescale_betas_zero_snr } = this.config;
    this.table = sigmaTable({
      ...this.config,
      rescale_betas_zero_snr: rescale_betas_zero_snr && knowsZeroSnr, // some classes ignore the key, as in diffusers
    });
  }

  /** σ of each timestep, then σ where the last step ends. */
  get sigmas(): number[] {
    this.timesteps; // complains where there are none
    return this.#levels.map(({ ratio }) => ratio);
  }

  /** The images with noise as at a timestep, or at one timestep for each image: α x_0 + σ ε. */
  addNoise(original: Tensor, noise: Tensor, timesteps: number | readonly number[]): Tensor {
    const levels = this.noiseIndices(timesteps).map((i) => this.#levels[i]!);
    return mix(original, noise, levels.map(({ alpha, sigma }) => [alpha, sigma]));
  }

  /** The level at an index of timesteps; one more is where the last step ends. */
  protected level(index: number): Level {
    return this.#levels[index]!;
  }

  /** Chooses timesteps and noise levels; timesteps are whole. */
  protected visit({ timesteps, sigmas }: Spread, finalSigma: number): void {
    this.timesteps = timesteps.map(Math.trunc);
    this.#levels = [...sigmas, finalSigma].map((sigma) =>
      levelOf(Math.fround(sigma), this.config.use_flow_sigmas)
    );
  }

  /** `count` timesteps as the config spaces them up to `end`, which is left out. */
  protected spacedTimesteps(
    count: number,
    spacing: TimestepSpacing = this.config.timestep_spacing,
    end = this.config.num_train_timesteps,
  ): number[] {
    const { num_train_timesteps: T, steps_offset } = this.config;
    checkedCount(count, spacing === "leading" ? T - 1 : T);
    const timesteps = spacings[spacing]({ T, end, count, offset: steps_offset });
    if (timesteps.length > 0 && timesteps[0]! < T) return timesteps;
    throw new RangeError(
      `Cannot set ${count} timesteps: expected all below ${T} (num_train_timesteps), got ${timesteps[0]} ` +
        `with steps_offset ${steps_offset}; use fewer steps`,
    );
  }

  /** `count` levels where the config spreads σ itself instead of the timesteps. */
  protected spreadLevels(count: number, roundKarras = true): Spread | undefined {
    const { sigmas: all, logSigmas } = this.table;
    const sigmas = spreadSigmas(this.config, { max: all[all.length - 1]!, min: all[0]! }, count);
    if (!sigmas) return undefined;
    checkedCount(count, this.config.num_train_timesteps);
    const timesteps = sigmas.map((sigma) => sigmaToTimestep(sigma, logSigmas));
    const round = this.config.use_karras_sigmas && roundKarras;
    return { sigmas, timesteps: round ? timesteps.map(roundHalfEven) : timesteps };
  }

  /** The levels of a flow, for whose timesteps 1 stands for all of training. */
  protected flowLevels(count: number, shift: number): Spread {
    const T = this.config.num_train_timesteps;
    const sigmas = flowSigmas(T, checkedCount(count, T), shift);
    return { sigmas, timesteps: sigmas.map((sigma) => sigma * T) };
  }

  /** The levels that training had at these timesteps. */
  protected levelsOf(timesteps: number[]): Spread {
    return { timesteps, sigmas: timesteps.map((t) => interpolate(this.table.sigmas, t)) };
  }

  /** The shift of the config, or e^mu where the size of the picture decides. */
  protected flowShift(mu: number | undefined): number {
    if (mu === undefined) return this.config.flow_shift;
    if (this.config.use_dynamic_shifting) return Math.exp(mu);
    throw new TypeError(
      "Cannot set timesteps with mu: expected use_dynamic_shifting in the config, got false",
    );
  }

  /** Levels of the steps up to an index, the newest first. */
  protected levelsBefore(index: number, count: number): Level[] {
    return Array.from({ length: count }, (_, i) => this.level(index - i));
  }

  /** What step() returns; x̂_0 is computed where somebody asks for it. */
  protected output(prevSample: Tensor, modelOutput: Tensor, index: number, sample: Tensor): StepOutput {
    const original = () => this.predictOriginal(modelOutput, index, sample);
    return {
      prevSample,
      get predOriginalSample() {
        return original();
      },
    };
  }

  /** x̂_0 from what the model predicted at an index, thresholded if the config says so. */
  protected predictOriginal(modelOutput: Tensor, index: number, sample: Tensor): Tensor {
    const x0 = this.#original(modelOutput, this.level(index), sample);
    return this.config.thresholding ? threshold(x0, this.config) : x0;
  }

  /** ε̂ from what the model predicted at an index. */
  protected predictNoise(modelOutput: Tensor, index: number, sample: Tensor): Tensor {
    const { thresholding, prediction_type } = this.config;
    const { alpha, sigma, ratio } = this.level(index);
    if (prediction_type === "epsilon" && !thresholding) return modelOutput;
    if (prediction_type === "v_prediction" && !thresholding) {
      return weightedSum([alpha, modelOutput], [sigma, sample]);
    }
    const x0 = this.predictOriginal(modelOutput, index, sample);
    const beside = prediction_type === "flow_prediction" ? ratio : sigma; // the same in a flow, as in diffusers outside of one
    return weightedSum([1 / beside, sample], [-alpha / beside, x0]);
  }

  #original(modelOutput: Tensor, { alpha, sigma, ratio }: Level, sample: Tensor): Tensor {
    switch (this.config.prediction_type) {
      case "epsilon":
        return weightedSum([1 / alpha, sample], [-sigma / alpha, modelOutput]);
      case "sample":
        return modelOutput;
      case "v_prediction":
        return weightedSum([alpha, sample], [-sigma, modelOutput]);
      case "flow_prediction":
        return weightedSum([1, sample], [-ratio, modelOutput]);
    }
  }
}

/** What a spacing is told: timesteps of training, the first that may not be visited, how many to visit. */
interface Spacing {
  T: number;
  end: number;
  count: number;
  offset: number;
}

/** Unlike those of DDPM, these end one step before timestep 0: that is where the last step goes. */
const spacings = {
  linspace: ({ end, count }: Spacing) =>
    linspace(0, end - 1, count + 1).slice(1).map(roundHalfEven).reverse(),
  leading: ({ end, count, offset }: Spacing) => {
    const stride = Math.floor(end / (count + 1));
    return Array.from({ length: count }, (_, i) => (count - i) * stride + offset);
  },
  trailing: ({ T, end, count }: Spacing) => {
    const stride = end - (end - T / count); // numpy.arange(end, 0, -T / count) takes it between its first two values
    const length = Math.min(count, Math.ceil(end / (T / count)));
    return Array.from({ length }, (_, i) => roundHalfEven(end - i * stride) - 1);
  },
};
