import { table } from "../inspect/table.ts";
import type { Change } from "./compare.ts";
import { fullPath, isWanted, type Profile, type ProfileRow, type Spread } from "./form.ts";

/** Which rows of the tables are shown. */
export interface Shown {
  /** Those of modules whose path begins so, or of kernels whose name has it. */
  readonly only: string | undefined;
  /** Names of a path that are told apart in the table of modules. */
  readonly depth: number;
  /** Lines of the longest table. */
  readonly rows: number;
}

/** A profile as text. */
export function describeProfile(profile: Profile, { only, depth, rows: most }: Shown): string {
  const rows = profile.rows.filter((row) => isWanted(row, only));
  if (rows.length === 0) {
    throw new TypeError(`Cannot show only ${only}: no module's path begins so, and no kernel's name has it`);
  }
  const unit = profile.subject.pipeline ? profile.subject.runs : profile.subject.runs * profile.subject.steps;
  const lines = (name: (row: ProfileRow) => string) =>
    [...Map.groupBy(rows, name)].sort(([, a], [, b]) => msOf(b) - msOf(a));
  const shape = ({ shape }: ProfileRow) => shape.filter((n, i) => n > 1 || i >= 2).join("×");
  return [
    summary(profile),
    `Below: ms of ${profile.subject.pipeline ? "a run" : "a step"}, with a pass for each dispatch.`,
    timesTable("kernel", lines(({ kernel }) => kernel), unit),
    timesTable("module", tree(rows, depth), unit),
    timesTable(
      "module and kernel, with its result",
      lines((row) => `${fullPath(row)} ${row.kernel} ${shape(row)}`).slice(0, most),
      unit,
    ),
    memoryTable(profile),
  ].join("\n\n");
}

function summary(profile: Profile): string {
  const { subject, step, runMs, gpuMs, hostMs, peaks, pipelines, gapMs, adapter } = profile;
  const each = subject.pipeline ? 1 : subject.steps;
  const unit = subject.pipeline ? "a run" : "a step";
  const wall = runMs.plain.median / each;
  const gpu = gpuMs.passes.median / each;
  const { wait, prepare, ...work } = hostMs;
  const busy = Object.values(work).reduce((a, b) => a + b, 0) / each;
  const cost = (other: Spread) => {
    const more = other.median / runMs.plain.median - 1;
    return more > 0 ? `${percent(more)} more` : "nothing to be seen";
  };
  return [
    adapter.text,
    `${subject.className} of ${subject.model}: ${subject.work}, ${subject.dtype}; ` +
    `${subject.steps} steps, ${subject.runs === 1 ? "1 run" : `${subject.runs} runs`}`,
    "",
    `step      ${step.median.toFixed(2)} ms (half of them from ${step.low.toFixed(2)} to ${
      step.high.toFixed(2)
    })`,
    `${unit.padEnd(9)} ${wall.toFixed(2)} ms, ${gpu.toFixed(2)} of them on the GPU: ${
      boundBy(wall, gpu, busy)
    }`,
    `host      ${
      Object.entries({ ...work, prepare, wait }).map(([kind, ms]) => `${kind} ${(ms / each).toFixed(2)}`)
        .join(", ")
    } ms ${unit}`,
    `profiling ${cost(runMs.passes)} for timestamps at passes, ${
      cost(runMs.dispatches)
    } with a pass for each dispatch; ` +
    `${(gapMs / each).toFixed(2)} ms ${unit} between these`,
    `peaks     ${
      Object.entries(peaks).map(([roof, rate]) =>
        `${roof} ${rate!.toFixed(0)} ${roof === "memory" ? "GB/s" : "GFLOP/s"}`
      )
        .join(", ")
    }`,
    `warm-up   ${pipelines.warmUpMs.toFixed(0)} ms; ${pipelines.count} pipelines took ${
      pipelines.compileMs.toFixed(0)
    } ms to create`,
  ].join("\n");
}

/** Whether the GPU or the host keeps a step from being shorter. */
function boundBy(wall: number, gpu: number, host: number): string {
  const parts = `GPU ${percent(gpu / wall)}, host at work ${percent(host / wall)} of the time`;
  if (gpu >= 0.9 * wall) return `GPU-bound (${parts})`;
  if (host >= 0.5 * wall) return `CPU-bound (${parts})`;
  return `bound by neither alone: the GPU waits between submissions (${parts})`;
}

const HEADINGS = ["calls", "ms", "GFLOP/s", "GB/s", "share", "±", "FLOP/B", "of peak", "binds"];

function timesTable(
  title: string,
  lines: readonly (readonly [string, readonly ProfileRow[]])[],
  unit: number,
): string {
  return table([[title, ...HEADINGS], ...lines.map(([name, rows]) => [name, ...cells(rows, unit)])]);
}

/** Rows as one, for one of `unit` steps or runs. */
function cells(rows: readonly ProfileRow[], unit: number): string[] {
  const sum = (value: (row: ProfileRow) => number) => rows.reduce((total, row) => total + value(row), 0);
  const mean = (value: (row: ProfileRow) => number) =>
    sum((row) => value(row) * row.totalMs) / (msOf(rows) || 1);
  const [gflops, gbytes] = [mean((row) => row.gflops), mean((row) => row.gbytes)];
  const [roof] = [...Map.groupBy(rows, (row) => row.roof)].sort(([, a], [, b]) => msOf(b) - msOf(a))[0]!;
  return [
    String(Math.round(sum((row) => row.count) / unit * 10) / 10),
    (msOf(rows) / unit).toFixed(2),
    gflops.toFixed(2),
    gbytes.toFixed(2),
    percent(sum((row) => row.share)),
    percent(sum(({ ms }) => (ms.high - ms.low) / 2) / (sum(({ ms }) => ms.median) || 1)),
    gbytes ? (gflops / gbytes).toFixed(1) : "",
    percent(mean((row) => row.ofPeak)),
    roof,
  ];
}

/** Modules down to some depth, the longest first, each in front of what is within it, which its line counts too. */
function tree(rows: readonly ProfileRow[], depth: number, level = 0): [string, readonly ProfileRow[]][] {
  const within = rows.filter((row) => fullPath(row).split(".").length > level);
  const modules = Map.groupBy(within, (row) => fullPath(row).split(".")[level]!);
  return [...modules].sort(([, a], [, b]) => msOf(b) - msOf(a)).flatMap(([name, list]) => [
    ["  ".repeat(level) + name, list] as [string, readonly ProfileRow[]],
    ...level < depth ? tree(list, depth, level + 1) : [],
  ]);
}

function memoryTable({ memory: { plans, peak } }: Profile): string {
  const rows = plans.map(({ label, arenas, modules, values }) => {
    const most = modules.toSorted((a, b) => b.peak - a.peak)[0]!;
    const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
    return [
      label,
      megabytes(sum(modules.map(({ weights }) => weights))),
      megabytes(sum(arenas)),
      megabytes(sum(values.map(({ bytes }) => bytes))),
      megabytes(most.peak),
      most.path,
    ];
  });
  const headings = ["memory", "weights", "arenas", "all results", "at once", "most in"];
  return `${table([headings, ...rows])}\n${megabytes(peak)} at most on the device`;
}

const msOf = (rows: readonly ProfileRow[]) => rows.reduce((sum, { totalMs }) => sum + totalMs, 0);
const percent = (part: number) => `${(100 * part).toFixed(1)}%`;
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

/** The changes from one profile to another as text; those that stayed the same are counted. */
export function describeChanges(changes: readonly Change[], tolerance: number): string {
  const told = changes.filter(({ verdict }) => verdict !== "same");
  const cell = (spread: Spread | undefined) => spread?.median.toFixed(3) ?? "";
  const rows = told.map(({ name, before, now, verdict }) => [
    name,
    cell(before),
    cell(now),
    before && now ? percent(now.median / before.median - 1) : "",
    verdict,
  ]);
  const slower = told.filter(({ verdict }) => verdict === "slower").length;
  return [
    ...rows.length ? [table([["kernel [result], where", "ms before", "ms now", "change", ""], ...rows])] : [],
    `${slower} of ${changes.length} kernels slower by more than ${percent(tolerance)} and than they vary`,
  ].join("\n");
}
