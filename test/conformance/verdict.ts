import type { Tensor } from "../../src/mod.ts";
import { difference, type HostTensor } from "../support/arrays.ts";
import { inF16, roundingsOf } from "./precision.ts";

/** What became of one case. */
export interface Verdict {
  readonly id: string;
  readonly status: "passed" | "failed" | "skipped";
  readonly error?: number | undefined;
  readonly tolerance?: number | undefined;
  /** What failed, why it was skipped, or how it passed. */
  readonly note?: string | undefined;
}

/** Runs the cases of one folder of a set. */
export type Family = (folder: string) => AsyncGenerator<Verdict, void, void>;

/**
 * How far values in f32 may be from what is expected: absolutely, or relative to the largest value expected. `gain`: what
 * the roundings of f16 are multiplied by on the way.
 */
export type Bound = { readonly abs: number } | { readonly rel: number; readonly gain?: number };

/** The bound of what must be equal. */
export const EXACT: Bound = { abs: 0 };

/** The verdict by an error and its bound. */
export function within(id: string, error: number, tolerance: number, note: string): Verdict {
  if (error <= tolerance) return { id, status: "passed", error, tolerance };
  return { id, status: "failed", error, tolerance, note };
}

/** The verdict on values. */
export function compare(
  id: string,
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  bound: Bound,
): Verdict {
  const { abs, rel, index } = difference(got, want);
  const note = index < 0
    ? `got ${got.length} values, want ${want.length}`
    : `at ${index} got ${got[index]}, want ${want[index]}`;
  return "abs" in bound ? within(id, abs, bound.abs, note) : within(id, rel, bound.rel, note);
}

/** The verdict on a tensor's shape and values; those of f16 may be further off by what its roundings do. */
export async function compareTensor(
  id: string,
  got: Tensor,
  want: HostTensor,
  bound: Bound,
): Promise<Verdict> {
  const data = await got.data();
  if (String(got.shape) === String(want.shape)) {
    const { gain } = "rel" in bound ? bound : {};
    const halves = inF16() && "rel" in bound ? { rel: bound.rel + roundingsOf(want, gain) } : bound;
    return compare(id, data, want.data, halves);
  }
  return { id, status: "failed", note: `got shape [${got.shape}], want [${want.shape}]` };
}

/** One verdict for a case of several parts: the first failure, or else the part nearest to its tolerance. */
export function worst(id: string, parts: readonly Verdict[]): Verdict {
  const failed = parts.find(({ status }) => status === "failed");
  if (failed) return { ...failed, id, note: `${failed.id}: ${failed.note}` };
  const share = ({ error = 0, tolerance = 0 }: Verdict) => tolerance > 0 ? error / tolerance : 0;
  return { ...parts.reduce((a, b) => share(b) > share(a) ? b : a), id };
}

/** The verdict of `run`, a throw being a failure that carries the message. */
export async function attempt(id: string, run: () => Promise<Verdict>): Promise<Verdict> {
  try {
    return await run();
  } catch (error) {
    return { id, status: "failed", note: (error as Error).message };
  }
}

/** The verdict on a refusal: an Error whose message is one line for users. */
export function refused(id: string, error: unknown): Verdict {
  const clear = error instanceof Error && /^Cannot [^\n]+$/.test(error.message);
  if (clear) return { id, status: "passed", note: `refused: ${error.message}` };
  return { id, status: "failed", note: `refused, but not in one line "Cannot …": ${error}` };
}
