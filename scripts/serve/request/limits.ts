import { RefusalError } from "./refusal.ts";

/** The most that one request may ask for. */
export interface Limits {
  /** Pixels of a picture. */
  readonly pixels: number;
  /** Steps of the scheduler. */
  readonly steps: number;
  /** Pictures. */
  readonly count: number;
  /** Seconds from its turn to its last picture. */
  readonly seconds: number;
  /** Requests that wait. */
  readonly waiting: number;
}

/** Limits where an operator says nothing else. */
export const LIMITS: Limits = { pixels: 2 ** 21, steps: 150, count: 10, seconds: 1800, waiting: 64 };

/** Bytes of a request's body where an operator says nothing else. */
export const BODY: number = 2 ** 26;

/** Refuses more than a request may ask for. */
export function expectAtMost(name: string, value: number, most: number): void {
  if (value <= most) return;
  throw new RefusalError("invalid", `Cannot draw: expected ${name} of at most ${most}, got ${value}`, name);
}
