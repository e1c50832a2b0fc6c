import { z } from "zod";
import { nameOfKind } from "../core/error.ts";
import { linspace, roundHalfEven } from "../core/math.ts";

/**
 * The argument of setTimesteps() instead of a number of steps. Each class takes some of these and refuses the rest.
 */
export interface Schedule {
  /** The number of steps to spread over the timesteps of training. */
  steps?: number | undefined;
  /** The timesteps themselves, the noisiest first. */
  timesteps?: readonly number[] | undefined;
  /** The noise levels themselves, falling. */
  sigmas?: readonly number[] | undefined;
  /** The shift for this size of image, where the config shifts dynamically. */
  mu?: number | undefined;
}

/** Ways to spread the steps of sampling over those of training (Lin et al. 2023, table 2). */
export type TimestepSpacing = "linspace" | "leading" | "trailing";

/** The keys that decide the timesteps of sampling. */
export interface TimestepConfig {
  /** The number of timesteps in training. */
  num_train_timesteps: number;
  /** The spread of the steps over them. */
  timestep_spacing: TimestepSpacing;
  /** Added to each timestep of the leading spacing; Stable Diffusion has 1. */
  steps_offset: number;
}

/** The schema of TimestepConfig, without num_train_timesteps. */
export const timestepConfig = {
  timestep_spacing: z.enum(["linspace", "leading", "trailing"]).default("linspace"),
  steps_offset: z.int().min(0).default(0),
};

/**
 * The argument of setTimesteps(), if it has exactly one of the keys that the class takes; `mu` goes with any.
 */
export function readSchedule(schedule: number | Schedule, takes: readonly (keyof Schedule)[]): Schedule {
  if (typeof schedule === "number") return { steps: schedule };
  if (typeof schedule !== "object" || schedule === null) {
    const ways = takes.map((name) => `{ ${name} }`).join(" or ");
    throw new TypeError(
      `Cannot set timesteps: expected a number of steps, or ${ways}, got ${nameOfKind(schedule)}`,
    );
  }
  const given = (Object.keys(schedule) as (keyof Schedule)[]).filter((key) => schedule[key] !== undefined);
  const unknown = given.find((key) => !takes.includes(key));
  if (unknown) throw new TypeError(`Cannot set timesteps: expected ${takes.join(" or ")}, got ${unknown}`);
  const chosen = given.filter((key) => key !== "mu");
  if (chosen.length === 1) return schedule;
  throw new TypeError(
    `Cannot set timesteps: expected one of ${takes.filter((key) => key !== "mu").join(", ")}, ` +
      `got ${chosen.join(" and ") || "none"}`,
  );
}

/** Ways in which the families of schedulers space timesteps otherwise. */
interface SpacingOptions {
  /** The first timestep that may not be visited, instead of num_train_timesteps. */
  end?: number | undefined;
  /** Leaves out the 0 at the end of "linspace" and "leading": the last step of a solver goes there. */
  stopBeforeZero?: boolean;
  /** Rounds those of "linspace", to whole ones by default. */
  round?: (t: number) => number;
}

/** `count` timesteps from the noisiest down, as the config spaces them over those of training. */
export function spacedTimesteps(
  { num_train_timesteps: T, timestep_spacing, steps_offset }: TimestepConfig,
  count: number,
  { end = T, stopBeforeZero = false, round = roundHalfEven }: SpacingOptions = {},
): number[] {
  checkedCount(count, stopBeforeZero && timestep_spacing === "leading" ? T - 1 : T);
  const points = stopBeforeZero ? count + 1 : count;
  const timesteps = {
    linspace: () => linspace(0, end - 1, points).map(round).reverse(),
    leading: () => {
      const stride = Math.floor(end / points);
      return Array.from({ length: points }, (_, i) => (points - 1 - i) * stride + steps_offset);
    },
    trailing: () => {
      const stride = end - (end - T / count); // numpy.arange(end, 0, -T / count) takes it between its first two values
      const length = Math.min(count, Math.ceil(end / (T / count)));
      return Array.from({ length }, (_, i) => roundHalfEven(end - i * stride) - 1);
    },
  }[timestep_spacing]().slice(0, count);
  if (timesteps.length > 0 && timesteps[0]! < T) return timesteps;
  throw new RangeError(
    `Cannot set ${count} timesteps: expected all below ${T} (num_train_timesteps), got ${timesteps[0]} ` +
      `with steps_offset ${steps_offset}; use fewer steps`,
  );
}

/** Every value but the first twice: [a, b, c] → [a, b, b, c, c], for methods with two model calls a step. */
export function repeatAfterFirst(values: readonly number[]): number[] {
  return values.flatMap((value, i) => i === 0 ? [value] : [value, value]);
}

/** A number of steps, if it is a whole one from 1 to `most`. */
export function checkedCount(count: number, most: number): number {
  if (Number.isInteger(count) && count >= 1 && count <= most) return count;
  throw new RangeError(
    `Cannot set timesteps: expected 1 to ${most} steps (num_train_timesteps), got ${count}`,
  );
}

/** Numbers that a caller chose, if they fall strictly and stay within bounds. */
export function checkedFalling(
  values: readonly number[],
  what: "timesteps" | "sigmas",
  { most, least }: { most: number; least: number },
): readonly number[] {
  const wrong = values.findIndex((x, i) => !(x >= least && x <= most && (i === 0 || x < values[i - 1]!)));
  if (values.length > 0 && wrong < 0) return values;
  const bounds = Number.isFinite(most) ? `from at most ${most} to at least ${least}` : `to at least ${least}`;
  throw new RangeError(
    `Cannot set ${what}: expected numbers that fall ${bounds}, got ` +
      (wrong < 0 ? "none" : `${values[wrong]} at index ${wrong}`),
  );
}

/** Timesteps that a caller chose, if they are whole, fall and lie within those of training. */
export function checkedTimesteps(
  { num_train_timesteps: T }: TimestepConfig,
  timesteps: readonly number[],
): number[] {
  const wrong = timesteps.findIndex((t, i) => !Number.isInteger(t) || t < 0 || t >= (timesteps[i - 1] ?? T));
  if (timesteps.length > 0 && wrong < 0) return [...timesteps];
  throw new RangeError(
    `Cannot set timesteps: expected whole numbers that fall from at most ${T - 1} to at least 0, got ` +
      (wrong < 0 ? "none" : `${timesteps[wrong]} at index ${wrong}`),
  );
}
