import { counted } from "../command_line/counted.ts";
import { table } from "../inspect/table.ts";
import type { Change } from "./compare.ts";
import { figuresOf, fullPath, isWanted, msOf, shapeText, sumOf, unitsOf } from "./figures.ts";
import type { Profile, ProfileRow, Spread } from "./form.ts";

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
  const units = unitsOf(profile);
  const lines = (name: (row: ProfileRow) => string) =>
    [...Map.groupBy(rows, name)].sort(([, a], [, b]) => msOf(b) - msOf(a));
  return printable([
    summary(profile),
    `Below: ms of ${figuresOf(profile).unit}, with a pass for each dispatch: medians of each row, ` +
    "± half of what the middle half of its times spans.",
    timesTable("kernel", lines(({ kernel }) => kernel), units),
    timesTable("module", tree(rows, depth), units),
    timesTable(
      "module and kernel, with its result",
      lines((row) => `${fullPath(row)} ${row.kernel} ${shapeText(row)}`).slice(0, most),
      units,
    ),
    memoryTable(profile),
  ].join("\n\n"));
}

function summary(profile: Profile): string {
  const { subject, step, peaks, pipelines, adapter } = profile;
  const { unit, wall, gpu, host, gap, passesCost, dispatchesCost, ...bound } = figuresOf(profile);
  const more = (cost: number) => cost > 0 ? `${percent(cost)} more` : "nothing to be seen";
  const rates = Object.entries(peaks).map(([roof, rate]) =>
    `${roof} ${rate!.toFixed(0)} ${roof === "memory" ? "GB/s" : "GFLOP/s"}`
  );
  const stepText = `${step.median.toFixed(2)} ms (the median; half of them from ${step.low.toFixed(2)} to ${
    step.high.toFixed(2)
  })`;
  const onGpu = `${gpu.toFixed(2)} of them on the GPU: ${bound.bound} ` +
    `(GPU ${percent(bound.gpuPart)}, host at work ${percent(bound.hostPart)} of the time)`;
  return [
    adapter.text,
    `${subject.className} of ${subject.model}: ${subject.work}, ${subject.dtype}; ` +
    `${counted(subject.steps, "step")}, ${counted(subject.runs, "run")}`,
    "",
    ...subject.pipeline
      ? [`step      ${stepText}`, `a run     ${wall.toFixed(2)} ms (the median), ${onGpu}`]
      : [`step      ${stepText}, ${onGpu}`],
    `host      ${host.map(([kind, ms]) => `${kind} ${ms.toFixed(2)}`).join(", ")} ms ${unit}`,
    `profiling ${more(passesCost)} for timestamps at passes, ${
      more(dispatchesCost)
    } with a pass for each dispatch; ${gap.toFixed(2)} ms ${unit} between these`,
    `peaks     ${rates.join(", ")}`,
    `warm-up   ${pipelines.warmUpMs.toFixed(0)} ms; ${pipelines.count} pipelines took ${
      pipelines.compileMs.toFixed(0)
    } ms to create`,
  ].join("\n");
}

const HEADINGS = ["calls", "ms", "GFLOP/s", "GB/s", "share", "±", "FLOP/B", "of peak", "binds"];

function timesTable(
  title: string,
  lines: readonly (readonly [string, readonly ProfileRow[]])[],
  units: number,
): string {
  return table([[title, ...HEADINGS], ...lines.map(([name, rows]) => [name, ...cells(rows, units)])]);
}

function cells(rows: readonly ProfileRow[], units: number): string[] {
  const { calls, ms, gflops, gbytes, share, variation, intensity, ofPeak, roof } = sumOf(rows, units);
  return [
    String(Math.round(calls * 10) / 10),
    ms.toFixed(2),
    gflops.toFixed(2),
    gbytes.toFixed(2),
    percent(share),
    percent(variation),
    intensity?.toFixed(1) ?? "",
    percent(ofPeak),
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
    const most = modules.toSorted((a, b) => b.peak - a.peak)[0];
    const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);
    return [
      label,
      megabytes(sum(modules.map(({ weights }) => weights))),
      megabytes(sum(arenas)),
      megabytes(sum(values.map(({ bytes }) => bytes))),
      megabytes(most?.peak ?? 0),
      most?.path ?? "",
    ];
  });
  const headings = ["memory", "weights", "arenas", "all results", "at once", "most in"];
  return `${table([headings, ...rows])}\n${megabytes(peak)} at most on the device`;
}

/** Text of a file without what would steer the terminal. */
const printable = (text: string) => text.replaceAll(/[^\P{Cc}\n]/gu, "\uFFFD");
const percent = (part: number) => `${(100 * part).toFixed(1)}%`;
const megabytes = (bytes: number) => `${(bytes / 1e6).toFixed(1)} MB`;

/** The changes from one profile to another as text; those that stayed the same are counted. */
export function describeChanges(changes: readonly Change[], tolerance: number): string {
  const told = changes.filter(({ verdict }) => verdict !== "same");
  const cell = (spread: Spread | undefined) => spread?.median.toFixed(3) ?? "";
  const rows = told.map(({ name, before, now, where, verdict }) => [
    name,
    where,
    cell(before),
    cell(now),
    before && now ? percent(now.median / before.median - 1) : "",
    verdict === "unconfirmed" ? "not confirmed" : verdict,
  ]);
  const faster = told.filter(({ verdict }) => verdict === "faster").length;
  const again = told.filter(({ verdict }) => verdict === "unconfirmed").length;
  const slower = told.filter(({ verdict }) => verdict === "slower").length;
  const varies = (spread?: Spread) => spread && spread.high - spread.low > tolerance * spread.median;
  const unsure = changes.filter(({ before, now }) => varies(before) || varies(now)).length;
  return printable([
    ...rows.length
      ? [table([["kernel [result], model", "most in", "ms before", "ms now", "change", ""], ...rows])]
      : [],
    `${slower} of ${changes.length} kernels slower by more than ${
      percent(tolerance)
    } and than they vary, ${faster} faster` +
    (again ? `; ${again} looked slower, but not each time that they were measured again` : ""),
    ...unsure
      ? [`${unsure} of them vary by more than that from step to step: smaller changes of these are not seen`]
      : [],
  ].join("\n"));
}
