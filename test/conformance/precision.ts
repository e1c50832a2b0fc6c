import { currentDevice } from "../../src/gpu/device.ts";
import { streamOf } from "../../src/graph/run/stream.ts";
import type { HostTensor } from "../support/arrays.ts";

/** The type in which a set is run. */
export type Precision = "f32" | "f16";

let precision: Precision = "f32";

/** Sets the type in which models and operators run from now on: a process runs one set at a time. */
export function runIn(dtype: Precision): void {
  precision = dtype;
}

/** Whether models and operators run in f16. */
export function inF16(): boolean {
  return precision === "f16";
}

/** How models are loaded. */
export function loading(): { dtype: Precision; onNotice: () => void } {
  return { dtype: precision, onNotice: () => {} };
}

/** Standard deviation of the relative error by which numbers of all sizes are rounded to f16: at most 2^-11, 0.43 of it. */
const ROUNDING = 0.43 * 2 ** -11;
/** Of a dispatch: both operands and the result. A sum's f32 and its length are within the bound of f32. */
const ROUNDED = 3;
/** Within which the largest of millions of errors lies. */
const DEVIATIONS = 6;

/**
 * How much further from a reference results in f16 may be, of the reference's largest value; see test/fixtures/README.md.
 * `gain` is what errors grow by behind the last dispatch, as by guidance.
 */
export function roundingsOf({ data }: HostTensor, gain = 1): number {
  const finite = data.filter(Number.isFinite);
  const squares = finite.reduce((sum, value) => sum + value * value, 0);
  const largest = finite.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  if (largest === 0) return 0;
  const spread = Math.sqrt(squares / finite.length) / largest;
  return 2 ** -11 + DEVIATIONS * ROUNDING * Math.sqrt(ROUNDED * depth()) * spread * gain;
}

/**
 * Dispatches that stand one behind the other on the longest way through what was traced, through one graph of each model
 * behind the other; where nothing was, those of the last submission.
 */
function depth(): number {
  const device = currentDevice();
  const longest = new Map<string, number>();
  for (const graph of device.dump().split("\n\n").filter(Boolean)) {
    const [, label] = /^(\w+): /.exec(graph)!;
    const depths = new Map<string, number>();
    for (const [, id, inputs] of graph.matchAll(/^(%\d+) = [^(]*\(([^)]*)\)/gm)) {
      const before = inputs!.split(", ").map((input) => depths.get(input) ?? 0);
      depths.set(id!, 1 + Math.max(0, ...before));
    }
    longest.set(label!, Math.max(longest.get(label!) ?? 0, ...depths.values()));
  }
  const traced = [...longest.values()].reduce((sum, n) => sum + n, 0);
  return traced || streamOf(device).statistics.dispatches;
}
