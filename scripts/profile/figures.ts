/** The figures of a profile, as the text and the HTML report show them. Runs in browsers, too. */
import type { Profile, ProfileRow, Spread } from "./form.ts";

/** Path of a row, with its model in front. */
export function fullPath({ model, path }: Pick<ProfileRow, "model" | "path">): string {
  return [model, path].filter(Boolean).join(".") || "(loop)";
}

/** True for a row of a module whose path begins with `only`, or of a kernel whose name has it. */
export function isWanted(row: ProfileRow, only: string | undefined): boolean {
  if (only === undefined) return true;
  return row.path.startsWith(only) || fullPath(row).startsWith(only) || row.kernel.includes(only);
}

/** A row's shape without the batches of 1 in front. */
export function shapeText({ shape }: Pick<ProfileRow, "shape">): string {
  return shape.filter((n, i) => n > 1 || i >= 2).join("×");
}

/** Steps, or runs of a pipeline, that the times of all rows are divided by. */
export function unitsOf({ subject: { pipeline, runs, steps } }: Profile): number {
  return pipeline ? runs : runs * steps;
}

/** The times of one step, or of one run of a pipeline. */
export interface Figures {
  /** "a step" or "a run". */
  readonly unit: string;
  /** By the clock, without timestamps, in ms: the median. */
  readonly wall: number;
  /** On the GPU, by its part of runs with passes as they are, in ms. */
  readonly gpu: number;
  /** Of the host by kind, in ms, in the order in which they are shown. */
  readonly host: readonly (readonly [kind: string, ms: number])[];
  /**
   * Parts of the time for which the GPU and the host are at work: of runs with timestamps at passes, and
   * without any.
   */
  readonly gpuPart: number;
  readonly hostPart: number;
  readonly bound: "GPU-bound" | "CPU-bound" | "bound by neither alone";
  /**
   * How much longer it takes with timestamps at passes, and with a pass for each dispatch, as a part; 0 where
   * not longer.
   */
  readonly passesCost: number;
  readonly dispatchesCost: number;
  /** Between dispatches that have passes of their own, in ms. */
  readonly gap: number;
}

/** The times of a step or run, and whether the GPU or the host keeps it from being shorter. */
export function figuresOf({ subject, step, runMs, gpuMs, hostMs, gapMs }: Profile): Figures {
  const each = subject.pipeline ? 1 : subject.steps;
  const wall = subject.pipeline ? runMs.plain.median : step.median;
  const gpuPart = gpuMs.passes.median / runMs.passes.median; // of the same runs, as a machine may be busy in others
  const { wait, prepare, ...work } = hostMs;
  const sum = (times: object) => Object.values(times).reduce((a: number, b: number) => a + b, 0);
  const all = sum(hostMs); // of a run; a step's are as its parts
  const hostPart = sum(work) / all;
  const cost = ({ median }: Spread) => Math.max(0, median / runMs.plain.median - 1);
  return {
    unit: subject.pipeline ? "a run" : "a step",
    wall,
    gpu: gpuPart * wall,
    host: Object.entries({ ...work, prepare, wait }).map(([kind, ms]) => [kind, wall * ms / all]),
    gpuPart,
    hostPart,
    bound: gpuPart >= 0.9 ? "GPU-bound" : hostPart >= 0.5 ? "CPU-bound" : "bound by neither alone",
    passesCost: cost(runMs.passes),
    dispatchesCost: cost(runMs.dispatches),
    gap: gapMs / each,
  };
}

/** Several rows as one, of a step or run. */
export interface RowSum {
  readonly calls: number;
  readonly ms: number;
  /** Half the distance of the quartiles over the median. */
  readonly variation: number;
  /** Rates and shares are means, weighted by time. */
  readonly gflops: number;
  readonly gbytes: number;
  readonly share: number;
  /** FLOP a byte; undefined where nothing moves. */
  readonly intensity: number | undefined;
  readonly ofPeak: number;
  /** What binds most of its time. */
  readonly roof: ProfileRow["roof"];
  /** Time that it takes above what it would at the peak that binds it, in ms. */
  readonly abovePeakMs: number;
}

/** The sum of some rows, for one of `units` steps or runs. */
export function sumOf(rows: readonly ProfileRow[], units: number): RowSum {
  const sum = (value: (row: ProfileRow) => number) => rows.reduce((total, row) => total + value(row), 0);
  const totalMs = msOf(rows);
  const mean = (value: (row: ProfileRow) => number) =>
    sum((row) => value(row) * row.totalMs) / (totalMs || 1);
  const [gflops, gbytes] = [mean((row) => row.gflops), mean((row) => row.gbytes)];
  const [roof] = [...Map.groupBy(rows, (row) => row.roof)].sort(([, a], [, b]) => msOf(b) - msOf(a))[0]!;
  return {
    calls: sum((row) => row.count) / units,
    ms: totalMs / units,
    variation: sum(({ ms }) => (ms.high - ms.low) / 2) / (sum(({ ms }) => ms.median) || 1),
    gflops,
    gbytes,
    share: sum((row) => row.share),
    intensity: gbytes ? gflops / gbytes : undefined,
    ofPeak: mean((row) => row.ofPeak),
    roof,
    abovePeakMs: sum((row) => Math.max(0, 1 - row.ofPeak) * row.totalMs) / units,
  };
}

/** Time of some rows, of all steps and runs. */
export function msOf(rows: readonly ProfileRow[]): number {
  return rows.reduce((sum, { totalMs }) => sum + totalMs, 0);
}

/** Median and quartiles of some values, between two values where there is none at the place. */
export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (part: number) => {
    const place = part * (sorted.length - 1);
    const [below, above] = [sorted[Math.floor(place)] ?? 0, sorted[Math.ceil(place)] ?? 0];
    return below + (above - below) * (place % 1);
  };
  return { median: at(0.5), low: at(0.25), high: at(0.75) };
}
