import type { Scheduler } from "../../schedulers/mod.ts";
import { roundHalfEven } from "../../core/math.ts";

/**
 * Which part of denoising a run does, where several models share it (eDiff-I, Balaji et al. 2022,
 * https://arxiv.org/abs/2211.01324): all runs take the same numInferenceSteps.
 */
export interface DenoisingRangeOptions {
  /**
   * The run ends with noise left, when so much of denoising is done, e.g. 0.8;
   * another run goes on with its latents.
   */
  denoisingEnd?: number | undefined;
}

/** The part of denoising left to a run that continues the latents of another. */
export interface DenoisingStartOptions extends DenoisingRangeOptions {
  /**
   * So much of denoising is done:
   * `image` are the latents of a run with this `denoisingEnd`. Strength does not go with it.
   */
  denoisingStart?: number | undefined;
}

/** The timesteps of a run that begins by its strength or at denoisingStart, up to denoisingEnd. */
export function timestepsWithin(
  scheduler: Scheduler,
  { denoisingStart, denoisingEnd, strength: given }: DenoisingStartOptions & {
    strength?: number | undefined;
  },
  strength = 1,
): number[] {
  if (denoisingStart !== undefined && given !== undefined) {
    throw new TypeError("Cannot draw with strength and denoisingStart: expected one of them, got both");
  }
  const end = denoisingEnd === undefined ? 0 : timestepAt("denoisingEnd", denoisingEnd, scheduler);
  const begun = denoisingStart === undefined
    ? scheduler.sliceByStrength(strength)
    : beginAt(denoisingStart, scheduler);
  if (denoisingStart !== undefined && denoisingEnd !== undefined && denoisingStart >= denoisingEnd) {
    throw new RangeError(
      `Cannot draw from denoisingStart ${denoisingStart} to denoisingEnd ${denoisingEnd}: expected less of it first`,
    );
  }
  const timesteps = begun.slice(0, begun.filter((t) => t >= end).length);
  if (timesteps.length > 0) return timesteps;
  throw new RangeError(`Cannot draw up to denoisingEnd ${denoisingEnd}: no step is left; set more steps`);
}

/** The timesteps after one where so much is done. */
function beginAt(done: number, scheduler: Scheduler): number[] {
  const { timesteps, order } = scheduler;
  const first = timestepAt("denoisingStart", done, scheduler);
  const left = timesteps.filter((t) => t < first).length;
  const whole = order === 2 && left % 2 === 0 ? left + 1 : left; // a step has two calls, the first of all one
  if (whole === 0) {
    throw new RangeError(`Cannot draw from denoisingStart ${done}: no step is left; set more steps`);
  }
  const start = timesteps.length - whole;
  scheduler.setBeginIndex(start);
  return timesteps.slice(start);
}

/** The timestep of training where so much of denoising is done, rounded as in Python. */
function timestepAt(name: string, done: number, { config }: Scheduler): number {
  if (!(done > 0 && done < 1)) {
    throw new RangeError(`Cannot draw with ${name} ${done}: expected a number between 0 and 1`);
  }
  const { num_train_timesteps: T } = config as { num_train_timesteps: number };
  return roundHalfEven(T - done * T);
}
