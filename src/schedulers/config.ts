import { z } from "zod";
import { flag, parseConfig } from "../io/config.ts";
import type { BetaConfig } from "./betas.ts";
import type { TimestepConfig } from "./timesteps.ts";

/** What the model predicts: the noise ε, the image x_0, or the velocity v = √ᾱ ε − √(1−ᾱ) x_0. */
export type PredictionType = "epsilon" | "sample" | "v_prediction";

/** The keys that the schedulers over ᾱ share. */
export interface AlphaConfig extends BetaConfig, TimestepConfig {
  /** What the model predicts. */
  prediction_type: PredictionType;
  /** Keeps x̂_0 within ±clip_sample_range. */
  clip_sample: boolean;
  /** The largest value that x̂_0 may have. */
  clip_sample_range: number;
  /** Keeps x̂_0 within a quantile of itself instead (Saharia et al. 2022). */
  thresholding: boolean;
  /** Which quantile. */
  dynamic_thresholding_ratio: number;
  /** The largest bound that thresholding may choose. */
  sample_max_value: number;
}

/** The schema of AlphaConfig without its beta_schedule, of which the classes know different ones. */
export const alphaConfig = {
  num_train_timesteps: z.int().positive().default(1000),
  beta_start: z.number().min(0).max(1).default(0.0001),
  beta_end: z.number().min(0).max(1).default(0.02),
  trained_betas: z.array(z.number()).nullable().default(null),
  rescale_betas_zero_snr: flag(false),
  prediction_type: z.enum(["epsilon", "sample", "v_prediction"]).default("epsilon"),
  timestep_spacing: z.enum(["linspace", "leading", "trailing"]).default("leading"),
  steps_offset: z.int().min(0).default(0),
  clip_sample: flag(true),
  clip_sample_range: z.number().positive().default(1),
  thresholding: flag(false),
  dynamic_thresholding_ratio: z.number().min(0).max(1).default(0.995),
  sample_max_value: z.number().positive().nullable().default(1).transform((most) => most ?? Infinity),
};

const filledIn = Symbol("the defaults that a config was completed with");

/** A config of which it is known what its file or author did not say. */
interface Completed {
  [filledIn]?: Record<string, unknown>;
}

/** The config as the conditions below read it: of any class. */
type AnyConfig = Readonly<Record<string, unknown>>;

const withoutBetas = ({ trained_betas, beta_schedule }: AnyConfig) =>
  Boolean(trained_betas) || ["squaredcos_cap_v2", "exp", "laplace"].includes(beta_schedule as string);

/** When nothing reads a key, so that its null does not matter to Python. */
const whenUnread: Readonly<Record<string, (config: AnyConfig) => boolean>> = {
  beta_start: withoutBetas,
  beta_end: withoutBetas,
  beta_schedule: ({ trained_betas }) => Boolean(trained_betas),
  steps_offset: ({ timestep_spacing }) => timestep_spacing !== "leading",
  clip_sample_range: ({ clip_sample, thresholding }) => !clip_sample || Boolean(thresholding),
  dynamic_thresholding_ratio: ({ thresholding }) => !thresholding,
  flow_shift: ({ use_flow_sigmas }) => !use_flow_sigmas,
  shift: ({ use_dynamic_shifting }) => Boolean(use_dynamic_shifting),
  time_shift_type: ({ use_dynamic_shifting, use_flow_sigmas }) =>
    !use_dynamic_shifting || use_flow_sigmas === false,
};

/** Checks and completes a config. A key may be null where the rest of the config says that nothing reads it. */
export function completeConfig<C extends object>(
  schema: z.ZodType<C>,
  given: Record<string, unknown>,
  where: string,
): C {
  const nulls = Object.keys(whenUnread).filter((key) => given[key] === null);
  const said = Object.fromEntries(Object.entries(given).filter(([key]) => !nulls.includes(key)));
  const config = parseConfig(schema, said, where);
  const read = nulls.filter((key) => Object.hasOwn(config, key) && !whenUnread[key]!(config as AnyConfig));
  if (read.length === 0) return config;
  return parseConfig(schema, { ...said, ...Object.fromEntries(read.map((key) => [key, null])) }, where);
}

/**
 * The keys of a config that somebody gave. The others were defaults of the class that completed it, and
 * another class has its own: diffusers drops them likewise (`_use_default_values`). A key that was changed
 * since counts as given.
 */
export function givenKeys(config: object & Completed): Record<string, unknown> {
  const defaults = config[filledIn] ?? {};
  return Object.fromEntries(
    Object.entries(config).filter(([key, value]) =>
      value !== undefined && !(Object.hasOwn(defaults, key) && defaults[key] === value)
    ),
  );
}

/** Marks which keys of a completed config were not given. The mark survives `{ ...config }`. */
export function markDefaults<C extends object>(config: C, given: Record<string, unknown>): C {
  const defaults = Object.fromEntries(Object.entries(config).filter(([key]) => !Object.hasOwn(given, key)));
  return { ...config, [filledIn]: defaults };
}
