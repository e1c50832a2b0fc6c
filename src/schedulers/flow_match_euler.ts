import { z } from "zod";
import { flag } from "../io/config.ts";
import { randn } from "../random/mod.ts";
import { type Tensor, weightedSum } from "../tensor/mod.ts";
import { type FlowConfig, flowConfig, FlowScheduler } from "./flow_scheduler.ts";
import { checkedCount, checkedFalling, readSchedule } from "./schedule.ts";
import type { Schedule, StepOptions, StepOutput } from "./scheduler.ts";
import { type SigmaConfig, sigmaConfig, spreadSigmas } from "./sigmas.ts";

const f32 = Math.fround;

/** The keys of a FlowMatchEuler scheduler_config.json. */
export interface FlowMatchEulerConfig extends FlowConfig, SigmaConfig {
  /** mu for base_image_seq_len tokens. */
  base_shift: number;
  /** mu for max_image_seq_len tokens. */
  max_shift: number;
  /** How many tokens base_shift belongs to. */
  base_image_seq_len: number;
  /** How many tokens max_shift belongs to. */
  max_image_seq_len: number;
  /** Count σ from the image to noise, as Mochi does. */
  invert_sigmas: boolean;
  /** Stretches the σ of the steps so that the last is this one, as LTX-Video does. */
  shift_terminal: number | null;
  /** Adds new noise at each step instead of going on along the velocity. */
  stochastic_sampling: boolean;
}

const schema = z.looseObject({
  ...flowConfig,
  base_shift: z.number().nullish().transform((shift) => shift ?? 0.5),
  max_shift: z.number().nullish().transform((shift) => shift ?? 1.15),
  base_image_seq_len: z.int().nullish().transform((length) => length ?? 256),
  max_image_seq_len: z.int().nullish().transform((length) => length ?? 4096),
  invert_sigmas: flag(false),
  shift_terminal: z.number().min(0).lt(1).nullable().default(null),
  ...sigmaConfig,
  stochastic_sampling: flag(false),
});

/** Euler's method along the velocity of a flow (Esser et al. 2024, https://arxiv.org/abs/2403.03206). */
export class FlowMatchEulerDiscreteScheduler extends FlowScheduler<FlowMatchEulerConfig> {
  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<FlowMatchEulerConfig> = {}) {
    super(schema, config);
  }

  /**
   * How far dynamic shifting is to go for an image of so many tokens:
   * on a line through the config's two points.
   */
  muFor(imageSeqLen: number): number {
    const { base_shift, max_shift, base_image_seq_len, max_image_seq_len } = this.config;
    const slope = (max_shift - base_shift) / (max_image_seq_len - base_image_seq_len);
    return base_shift + slope * (imageSeqLen - base_image_seq_len);
  }

  /**
   * Spreads so many noise levels evenly, or takes a list of them, shifts them as the config says, and adds
   * the end at
   * 0. With timesteps beside sigmas the model is told those; alone they decide the sigmas too.
   */
  setTimesteps(schedule: number | Schedule): void {
    const T = this.config.num_train_timesteps;
    const told = this.#read(schedule);
    const levels = this.#levels(told).map((sigma) => this.shiftedBy(sigma, told.mu));
    const stretched = this.#stretch(levels);
    const range = { max: stretched[0]!, min: stretched[stretched.length - 1]! };
    const falling = spreadSigmas(this.config, range, stretched.length) ?? stretched;

    const inverted = this.config.invert_sigmas;
    const sigmas = falling.map(f32).map((sigma) => inverted ? f32(1 - sigma) : sigma);
    const own = inverted ? undefined : told.timesteps;
    this.timesteps = (own ?? sigmas.map((sigma) => sigma * T)).map(f32);
    this.sigmas = [...sigmas, inverted ? 1 : 0];
  }

  /** One step along the velocity, x_σ → x_σ': from x̂_0 back up to σ', or up with new noise. */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: StepOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options);
    const { generator } = options;
    const index = this.enter(t);
    const [sigma, next] = this.sigmas.slice(index) as [number, number];
    const x0 = weightedSum([1, sample], [-sigma, modelOutput]);
    const prevSample = this.config.stochastic_sampling
      ? weightedSum([1 - next, x0], [next, randn(sample.shape, { generator })])
      : weightedSum([1, x0], [next, modelOutput]);
    this.advance();
    return { prevSample, predOriginalSample: x0 };
  }

  /** Unlike others it may be told timesteps and sigmas together. */
  #read(schedule: number | Schedule): Schedule {
    const ways = ["steps", "timesteps", "sigmas", "mu"] as const;
    if (typeof schedule === "number" || !schedule.sigmas || !schedule.timesteps) {
      return readSchedule(schedule, ways);
    }
    const { timesteps, ...rest } = schedule;
    if (timesteps.length === schedule.sigmas.length) return { ...readSchedule(rest, ways), timesteps };
    throw new RangeError(
      `Cannot set timesteps: expected as many as sigmas, got ${timesteps.length} and ${schedule.sigmas.length}`,
    );
  }

  #levels({ steps = 0, timesteps, sigmas }: Schedule): readonly number[] {
    const { num_train_timesteps: T, use_dynamic_shifting } = this.config;
    if (timesteps) checkedFalling(timesteps, "timesteps", { most: T, least: 0 });
    if (sigmas) checkedFalling(sigmas, "sigmas", { most: 1, least: 0 });
    if (sigmas) return sigmas;
    if (timesteps) return timesteps.map((t) => t / T);
    return this.evenSigmas(
      checkedCount(steps, T),
      (sigma) => use_dynamic_shifting ? sigma : this.shifted(sigma),
    );
  }

  /** Keeps where the levels begin below 1, and ends them at shift_terminal. */
  #stretch(sigmas: number[]): number[] {
    const { shift_terminal } = this.config;
    if (!shift_terminal) return sigmas;
    const scale = (1 - sigmas[sigmas.length - 1]!) / (1 - shift_terminal);
    if (scale > 0) return sigmas.map((sigma) => 1 - (1 - sigma) / scale);
    throw new RangeError(
      "Cannot stretch sigmas to shift_terminal: expected the last below 1; use more steps",
    );
  }
}
