import { nameOfKind } from "../core/error.ts";
import type { Schedule } from "./scheduler.ts";

/**
 * What setTimesteps() was told, if it is exactly one of the ways that the class takes; `mu` goes with any.
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

/** A number of steps, if it is a whole one from 1 to `most`. */
export function checkedCount(count: number, most: number): number {
  if (Number.isInteger(count) && count >= 1 && count <= most) return count;
  throw new RangeError(
    `Cannot set timesteps: expected 1 to ${most} steps (num_train_timesteps), got ${count}`,
  );
}
