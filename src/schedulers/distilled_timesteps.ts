import { readSchedule } from "./schedule.ts";
import type { Schedule } from "./scheduler.ts";
import { checkedTimesteps, type TimestepConfig } from "./timesteps.ts";

/** What decides which timesteps a distilled model knows. */
export interface DistilledConfig extends TimestepConfig {
  /** How many of them the distillation visited. */
  original_inference_steps: number;
}

/** Other choices for once than those of the config. */
export interface DistilledOptions {
  /** How many timesteps the distillation visited, instead of the config's. */
  originalInferenceSteps?: number | undefined;
  /** Chooses among the least noisy part of them, for image to image. */
  strength?: number | undefined;
}

/**
 * The timesteps that the distillation visited, the noisiest first:
 * every k-th of training, counted from its end.
 */
export function distillationTimesteps(
  { num_train_timesteps: T, original_inference_steps }: DistilledConfig,
  { originalInferenceSteps = original_inference_steps, strength = 1 }: DistilledOptions,
): number[] {
  if (!(originalInferenceSteps >= 1 && originalInferenceSteps <= T)) {
    throw new RangeError(
      `Cannot set timesteps: expected 1 to ${T} original_inference_steps (num_train_timesteps), ` +
        `got ${originalInferenceSteps}`,
    );
  }
  const stride = Math.floor(T / originalInferenceSteps);
  return Array.from({ length: keptOf(originalInferenceSteps, strength) }, (_, i) => (i + 1) * stride - 1)
    .reverse();
}

/** How many of `count` timesteps a strength leaves. */
export function keptOf(count: number, strength: number): number {
  if (strength > 0 && strength <= 1) return Math.floor(count * strength);
  throw new RangeError(`Cannot set timesteps: expected a strength above 0 and up to 1, got ${strength}`);
}

/**
 * So many of the timesteps that a distilled model knows,
 * spread evenly from the noisiest, or a falling list of any.
 */
export function chosenTimesteps(
  config: DistilledConfig,
  schedule: number | Schedule,
  known: readonly number[],
): number[] {
  const { steps = 0, timesteps } = readSchedule(schedule, ["steps", "timesteps"]);
  if (timesteps) return checkedTimesteps(config, timesteps);
  if (Number.isInteger(steps) && steps >= 1 && steps <= known.length) {
    const stride = known.length / steps;
    return Array.from({ length: steps }, (_, i) => known[Math.floor(i * stride)]!);
  }
  throw new RangeError(
    `Cannot set timesteps: expected 1 to ${known.length} steps, as many as the model was distilled for, got ${steps}`,
  );
}
