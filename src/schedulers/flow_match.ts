import { z } from "zod";
import { linspace } from "../core/math.ts";
import { flag } from "../io/config.ts";
import { randn } from "../random/mod.ts";
import { type Tensor, weightedSum } from "../tensor/mod.ts";
import { addChurn, CHURN_OPTIONS, type ChurnOptions } from "./euler.ts";
import { Scheduler } from "./scheduler.ts";
import type { NoiseWeights, StepOptions, StepOutput } from "./step.ts";
import { shiftedSigma, type SigmaConfig, sigmaConfig, spreadSigmas } from "./sigmas.ts";
import { checkedCount, checkedFalling, readSchedule, repeatAfterFirst, type Schedule } from "./timesteps.ts";

const f32 = Math.fround;

/** The keys that the schedulers of flow matching share. */
export interface FlowConfig {
  /** The number of timesteps in training; the model gets t = σ · num_train_timesteps. */
  num_train_timesteps: number;
  /** Moves the σ of the steps towards noise: s σ / (1 + (s − 1) σ) (Esser et al. 2024, eq. 23). */
  shift: number;
  /** Shift by how many tokens the image has, through `mu`, instead of by `shift`. */
  use_dynamic_shifting: boolean;
  /** The factor that mu stands for: exp(mu), or mu itself. */
  time_shift_type: "exponential" | "linear";
}

/** The schema of FlowConfig. */
const flowConfig: { [Key in keyof FlowConfig]: z.ZodType<FlowConfig[Key]> } = {
  num_train_timesteps: z.int().positive().default(1000),
  shift: z.number().positive().default(1),
  use_dynamic_shifting: flag(false),
  time_shift_type: z.enum(["exponential", "linear"]).default("exponential"),
};

/** A scheduler for x_σ = (1 − σ) x_0 + σ ε, of which the model predicts the velocity ε − x_0. */
export abstract class FlowScheduler<Config extends FlowConfig> extends Scheduler<Config> {
  /** σ at each of the timesteps, then where the last step ends. */
  get sigmas(): number[] {
    return this.visitedSigmas;
  }

  /** addNoise() by the name and in the order that diffusers has for flows. */
  scaleNoise(sample: Tensor, timesteps: number | readonly number[], noise: Tensor): Tensor {
    return this.addNoise(sample, noise, timesteps);
  }

  /** x_σ = (1 − σ) x_0 + σ ε. */
  protected override noiseWeights(t: number): NoiseWeights {
    const sigma = this.sigmas[this.indexForTimestep(t)]!;
    return [1 - sigma, sigma];
  }

  /** σ moved by the config's shift. */
  protected shifted(sigma: number): number {
    return shiftedSigma(sigma, this.config.shift);
  }

  /** A noise level that a caller chose, moved as the config says: by its shift, or dynamically by mu. */
  protected shiftedBy(sigma: number, mu: number | undefined): number {
    const { use_dynamic_shifting, time_shift_type } = this.config;
    if (!use_dynamic_shifting) return this.shifted(sigma);
    if (mu === undefined || !Number.isFinite(mu)) {
      throw new TypeError(
        `Cannot set timesteps: expected mu, as use_dynamic_shifting is set, got ${mu}; take muFor(imageSeqLen)`,
      );
    }
    const factor = time_shift_type === "exponential" ? Math.exp(mu) : mu;
    return factor / (factor + (1 / sigma - 1));
  }

  /** `count` noise levels even between the largest and the smallest of training. */
  protected evenSigmas(count: number, ofTraining: (sigma: number) => number): number[] {
    const T = this.config.num_train_timesteps;
    const [max, min] = [1, 1 / T].map((sigma) => f32(ofTraining(sigma))) as [number, number];
    return linspace(max * T, min * T, count).map((t) => t / T);
  }
}

/** True for a scheduler along a flow, whose model predicts the velocity ε − x_0. */
export function isFlow(scheduler: Scheduler): boolean {
  const { use_flow_sigmas } = scheduler.config as { use_flow_sigmas?: boolean };
  return scheduler instanceof FlowScheduler || use_flow_sigmas === true;
}

/** The keys that choose the noise levels of FlowMatchEuler and FlowMatchLCM. */
export interface FlowLevelsConfig extends FlowConfig, SigmaConfig {
  /** mu for base_image_seq_len tokens. */
  base_shift: number;
  /** mu for max_image_seq_len tokens. */
  max_shift: number;
  /** The number of tokens that base_shift is for. */
  base_image_seq_len: number;
  /** The number of tokens that max_shift is for. */
  max_image_seq_len: number;
  /** Count σ from the image to noise, as Mochi does. */
  invert_sigmas: boolean;
  /** Stretches the σ of the steps so that the last is this one, as LTX-Video does. */
  shift_terminal: number | null;
}

/** The schema of FlowLevelsConfig. */
export const flowLevelsConfig = {
  ...flowConfig,
  base_shift: z.number().nullish().transform((shift) => shift ?? 0.5),
  max_shift: z.number().nullish().transform((shift) => shift ?? 1.15),
  base_image_seq_len: z.int().nullish().transform((length) => length ?? 256),
  max_image_seq_len: z.int().nullish().transform((length) => length ?? 4096),
  invert_sigmas: flag(false),
  shift_terminal: z.number().min(0).lt(1).nullable().default(null),
  ...sigmaConfig,
};

/** A scheduler along a flow with the noise levels of Esser et al. 2024. */
export abstract class FlowLevelsScheduler<Config extends FlowLevelsConfig> extends FlowScheduler<Config> {
  /** The mu of dynamic shifting for an image of so many tokens: on a line through the config's two points. */
  muFor(imageSeqLen: number): number {
    const { base_shift, max_shift, base_image_seq_len, max_image_seq_len } = this.config;
    const slope = (max_shift - base_shift) / (max_image_seq_len - base_image_seq_len);
    return base_shift + slope * (imageSeqLen - base_image_seq_len);
  }

  /**
   * Spreads so many noise levels evenly, or takes a list of them, shifts them as the config says, and adds the
   * end at 0. Timesteps beside sigmas are what the model gets; alone they decide the sigmas too.
   */
  setTimesteps(schedule: number | Schedule): void {
    const T = this.config.num_train_timesteps;
    const given = this.#read(schedule);
    const levels = this.#levels(given).map((sigma) => this.shiftedBy(sigma, given.mu));
    const stretched = this.#stretch(levels);
    const range = { max: stretched[0]!, min: stretched[stretched.length - 1]! };
    const falling = spreadSigmas(this.config, range, stretched.length) ?? stretched;

    const inverted = this.config.invert_sigmas;
    const sigmas = falling.map(f32).map((sigma) => inverted ? f32(1 - sigma) : sigma);
    const own = inverted ? undefined : given.timesteps;
    this.visit((own ?? sigmas.map((sigma) => sigma * T)).map(f32), [...sigmas, inverted ? 1 : 0]);
  }

  /** The schedule; unlike with other classes it may have timesteps and sigmas together. */
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

/** The keys of a FlowMatchEuler scheduler_config.json. */
export interface FlowMatchEulerConfig extends FlowLevelsConfig {
  /** Adds new noise at each step instead of going on along the velocity. */
  stochastic_sampling: boolean;
}

const eulerSchema = z.looseObject({ ...flowLevelsConfig, stochastic_sampling: flag(false) });

/** Euler's method along the velocity of a flow (Esser et al. 2024, https://arxiv.org/abs/2403.03206). */
export class FlowMatchEulerDiscreteScheduler extends FlowLevelsScheduler<FlowMatchEulerConfig> {
  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<FlowMatchEulerConfig> = {}) {
    super(eulerSchema, config);
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
}

const heunSchema = z.looseObject(flowConfig);

/** Heun's method along the velocity of a flow: two model calls a step, and one for the last. */
export class FlowMatchHeunDiscreteScheduler extends FlowScheduler<FlowConfig> {
  /** A scheduler with diffusers' defaults where `config` names nothing else. */
  constructor(config: Partial<FlowConfig> = {}) {
    super(heunSchema, config);
  }

  /** Two model calls a step. */
  override get order(): number {
    return 2;
  }

  /**
   * Spreads so many noise levels; the model is called twice at each but the first. Or takes a list of them,
   * which FLUX's pipeline has, and shifts them as FlowMatchEulerDiscreteScheduler does; diffusers' class
   * takes none.
   */
  setTimesteps(schedule: number | Schedule): void {
    const { steps = 0, sigmas: chosen, mu } = readSchedule(schedule, ["steps", "sigmas", "mu"]);
    if (!chosen && mu !== undefined) {
      throw new TypeError("Cannot set timesteps with mu: expected sigmas beside it, got steps");
    }
    const T = this.config.num_train_timesteps;
    const levels = chosen
      ? checkedFalling(chosen, "sigmas", { most: 1, least: 0 }).map((sigma) => this.shiftedBy(sigma, mu))
      : this.evenSigmas(checkedCount(steps, T), (sigma) => this.shifted(sigma)).map((sigma) =>
        this.shifted(sigma)
      );
    const sigmas = levels.map(f32);
    this.visit(repeatAfterFirst(sigmas.map((sigma) => f32(sigma * T))), [...repeatAfterFirst(sigmas), 0]);
  }

  /** One half of a step: Euler's to σ', then, from the same sample, the step by the mean of both velocities. */
  step(modelOutput: Tensor, t: number, sample: Tensor, options: ChurnOptions = {}): StepOutput {
    this.expectStep(modelOutput, sample, options, CHURN_OPTIONS);
    const index = this.enter(t);
    const half = this.isSecondHalf(index) ? 1 : 0;
    const [sigma, next] = this.sigmas.slice(index - half) as [number, number];
    const from = addChurn(sample, sigma, this.sigmas.length - 1, options);
    const [at, raised] = half === 0 ? [sigma, from.sigma] as const : [next, next] as const; // without and with new noise
    const x0 = weightedSum([1, from.sample], [-at, modelOutput]);
    const derivative = from.sample.sub(x0).div(raised);
    const dt = next - from.sigma;
    if (half === 0) {
      const prevSample = weightedSum([1, from.sample], [dt, derivative]);
      this.advance([from.sample, derivative]);
      return { prevSample, predOriginalSample: x0 };
    }
    const [before, slope] = this.remembered as readonly [Tensor, Tensor]; // of the first half
    const prevSample = weightedSum([1, before], [dt / 2, slope], [dt / 2, derivative]);
    this.advance();
    return { prevSample, predOriginalSample: x0 };
  }
}
