import { z } from "zod";
import { flag } from "../io/config.ts";
import type { BetaConfig } from "./betas.ts";
import { alphaConfig, type PredictionType } from "./config.ts";
import { type FinalSigmas, type SigmaConfig, sigmaConfig } from "./sigmas.ts";
import type { ThresholdConfig } from "./threshold.ts";
import type { TimestepConfig } from "./timesteps.ts";

/** The keys that the solvers of the diffusion ODE share. */
export interface SolverConfig extends BetaConfig, TimestepConfig, SigmaConfig, ThresholdConfig {
  /** How β runs; the solvers know these three. */
  beta_schedule: "linear" | "scaled_linear" | "squaredcos_cap_v2";
  /** What the model predicts; of a flow x_σ = (1 − σ) x_0 + σ ε the velocity ε − x_0. */
  prediction_type: PredictionType | "flow_prediction";
  /** The highest order of a step: how many model outputs it uses. */
  solver_order: number;
  /** Falls back to lower orders in the last steps. */
  lower_order_final: boolean;
  /** The model was trained on a flow: α = 1 − σ. */
  use_flow_sigmas: boolean;
  /** Moves the noise levels of a flow towards 1. */
  flow_shift: number;
  /** Takes the shift from each picture's size, which setTimesteps() is told as `mu`. */
  use_dynamic_shifting: boolean;
  /** Where the last step ends. */
  final_sigmas_type: FinalSigmas;
}

/** The schema of SolverConfig. */
export const solverConfig = {
  num_train_timesteps: alphaConfig.num_train_timesteps,
  beta_start: alphaConfig.beta_start,
  beta_end: alphaConfig.beta_end,
  beta_schedule: z.enum(["linear", "scaled_linear", "squaredcos_cap_v2"]).default("linear"),
  trained_betas: alphaConfig.trained_betas,
  rescale_betas_zero_snr: alphaConfig.rescale_betas_zero_snr,
  prediction_type: z.enum(["epsilon", "sample", "v_prediction", "flow_prediction"]).default("epsilon"),
  timestep_spacing: z.enum(["linspace", "leading", "trailing"]).default("linspace"),
  steps_offset: alphaConfig.steps_offset,
  thresholding: alphaConfig.thresholding,
  dynamic_thresholding_ratio: alphaConfig.dynamic_thresholding_ratio,
  sample_max_value: alphaConfig.sample_max_value,
  ...sigmaConfig,
  solver_order: z.int().min(1).max(3).default(2),
  lower_order_final: flag(true),
  use_flow_sigmas: flag(false),
  flow_shift: z.number().positive().default(1),
  use_dynamic_shifting: flag(false),
  final_sigmas_type: z.enum(["zero", "sigma_min"]).default("zero"),
};

/**
 * What DPM-Solver has besides: λ below which no timestep is visited, and models that learned their variance.
 */
export interface DPMSolverConfig extends SolverConfig {
  /** The smallest log SNR to visit; near −∞ the cosine schedule is unstable. */
  lambda_min_clipped: number;
  /** A model that learned its variance returns it as further channels, which are left out. */
  variance_type: "learned" | "learned_range" | null;
}

/** The schema of DPMSolverConfig. */
export const dpmSolverConfig = {
  ...solverConfig,
  lambda_min_clipped: z.union([z.literal(-Infinity), z.number()]).default(-Infinity),
  variance_type: z.enum(["learned", "learned_range"]).nullable().default(null).catch(null),
};

/** A choice that other solvers' configs make in words of their own, which stand for one of these. */
export function choice<const T extends string>(
  values: readonly [T, ...T[]],
  otherNames: Readonly<Record<string, T>>,
): z.ZodType<T> {
  const translate = (value: unknown) => otherNames[value as string] ?? value;
  return z.preprocess(translate, z.enum(values).default(values[0])) as unknown as z.ZodType<T>;
}
