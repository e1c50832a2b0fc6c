import type { Traits } from "../gpu/traits.ts";
import type { Candidate } from "../graph/node.ts";

/**
 * A form of an operator: its kernels for an adapter and a problem, each with the time that it is expected to take; none
 * where it is not right there.
 */
export type Form<Problem> = (traits: Traits, problem: Problem) => readonly Guess[];

/** A kernel, and the time that it is expected to take (`costOf`). */
export interface Guess {
  readonly candidate: Candidate;
  readonly cost: number;
}

/** Work of a kernel on a problem. */
export interface Work {
  /** Workgroups that the grid has. */
  readonly workgroups: number;
  /** Multiply-adds of one workgroup, those on rows and columns beyond the edges too. */
  readonly multiplyAdds: number;
  /** Multiply-adds that a processor does in the time of one f32 fma a lane: 2 for packed f16, 8 for matrix units. */
  readonly rate: number;
  /** Workgroups that a processor runs side by side. */
  readonly resident: number;
  /** Bytes that come from or go to the GPU's memory and to no cache; none by default. */
  readonly bytes?: number;
}

/** Multiply-adds for which a GPU has the time that a byte of its memory takes: 9 on an H100, 30 to 40 on an RTX 4090. */
const BYTE = 20;
/** The same where the processors are those of the host, to which memory is near. */
const HOST_BYTE = 1;
/** Cost of one more dispatch: about 3 µs, in multiply-adds of a processor. */
export const DISPATCH = 2 ** 19;

/**
 * Expected time of a dispatch, in a unit that all forms of an operator share: multiply-adds of the busiest
 * processor, which is half idle with half as many workgroups as it runs side by side, as one waits for memory
 * while others compute.
 */
export function costOf(
  traits: Traits,
  { workgroups, multiplyAdds, rate, resident, bytes = 0 }: Work,
): number {
  const { software, multiprocessors } = traits;
  const rounds = Math.max(Math.ceil(workgroups / multiprocessors), resident / 2);
  return rounds * multiplyAdds / rate + bytes * (software ? HOST_BYTE : BYTE) / multiprocessors;
}

/** All kernels of some forms, the best guess first. */
export function guessesOf<Problem>(
  forms: readonly Form<Problem>[],
  traits: Traits,
  problem: Problem,
): Guess[] {
  return forms.flatMap((form) => form(traits, problem)).sort((a, b) => a.cost - b.cost);
}

/**
 * A size by steps of √2, for names of shape classes: problems with equal names share the candidate that was measured to
 * be the fastest.
 */
export function sizeStep(size: number): number {
  return Math.round(2 * Math.log2(Math.max(1, size)));
}
