import { table } from "../../inspect/table.ts";
import { figuresOf, isWanted, msOf } from "../figures.ts";
import type { KernelLines, Profile } from "../form.ts";
import { type LineWork, memoryShare, operationsShare, totalOf, WORK_KINDS } from "./work.ts";

type Kernel = Profile["kernels"][number];
type Count = KernelLines["counts"][number];

const HOTTEST = 5; // lines in front of the whole listing
const UNITS: Partial<Record<keyof LineWork, string>> = { loaded: "B", stored: "B", shared: "B" };
const BAR = 10; // characters of all work

/**
 * The texts whose lines are counted, by their numbers: of each kernel that `only` names that with most time,
 * else the one with most time of all.
 */
export function textsToCount({ rows }: Profile, only: string | undefined): number[] {
  const wanted = rows.filter((row) => isWanted(row, only));
  const times = [...Map.groupBy(wanted, ({ text }) => text)]
    .map(([text, list]) => ({ text, kernel: list[0]!.kernel, ms: msOf(list) }))
    .sort((a, b) => b.ms - a.ms);
  const longest = Map.groupBy(times, ({ kernel }) => kernel).values().map(([first]) => first!.text);
  return only === undefined ? times.slice(0, 1).map(({ text }) => text) : [...longest];
}

/** A text for each kernel whose lines were counted. */
export function describeLines(profile: Profile): string[] {
  const { unit } = figuresOf(profile);
  return profile.kernels.flatMap((kernel) =>
    kernel.lines ? [describeKernel(kernel, kernel.lines, unit)] : []
  );
}

function describeKernel(
  { name, parts }: Kernel,
  { calls, flops, bytes, counts, refused }: KernelLines,
  unit: string,
): string {
  const head = `lines of ${name}: ${calls} ${calls === 1 ? "dispatch" : "dispatches"} in ${unit}`;
  if (refused !== undefined) return `${head}\n${refused}`;
  const total = totalOf(counts);
  const least = counts.some(({ atLeast }) => atLeast) ? "at least " : "";
  const times = (total.loaded + total.stored) / bytes;
  const placeOf = ({ part, line }: Count) => `${parts[part]!.name}:${line}`;
  const lines = linesTable(parts, counts, total, ({ line }) => String(line));
  const heat = (count: Count) => Math.max(operationsShare(count, total), memoryShare(count, total));
  const hottest = counts.toSorted((a, b) => heat(b) - heat(a)).slice(0, HOTTEST);
  return [
    head,
    `operations  ${least}${amount(total.flops, "FLOP")}, by formula ${amount(flops, "FLOP")}; ${
      amount(total.others)
    } others`,
    `memory      ${least}${amount(total.loaded, "B")} loaded, ${amount(total.stored, "B")} stored: ${
      times.toFixed(1)
    } times the ${amount(bytes, "B")} that must move`,
    "",
    "hottest lines, by the larger of both shares",
    ...linesTable(parts, hottest, total, placeOf),
    "",
    "all lines that ran",
    lines[0]!,
    ...counts.flatMap(({ part }, i) => [
      ...part === counts[i - 1]?.part ? [] : [parts[part]!.name],
      lines[i + 1]!,
    ]),
  ].join("\n");
}

/** A heading and a row for each line; kinds of work that the kernel does not do are left out. */
function linesTable(
  parts: Kernel["parts"],
  counts: readonly Count[],
  total: LineWork,
  placeOf: (count: Count) => string,
): string[] {
  const kinds = WORK_KINDS.filter((kind) => total[kind]);
  const names = kinds.map((kind) => kind === "flops" ? "FLOP" : kind);
  const rows = counts.map((count) => {
    const shares = [operationsShare(count, total), memoryShare(count, total)];
    return [
      placeOf(count),
      amount(count.executions),
      ...kinds.map((kind) =>
        count[kind] ? (count.atLeast ? "≥" : "") + amount(count[kind], UNITS[kind]) : ""
      ),
      ...shares.map((share) => share >= 0.0005 ? `${(100 * share).toFixed(1)}%` : ""),
      "█".repeat(Math.round(BAR * Math.max(...shares))),
      parts[count.part]!.text.split("\n")[count.line - 1]!,
    ];
  });
  return table([["line", "times", ...names, "of operations", "of memory", "", ""], ...rows]).split("\n");
}

const PREFIXES = [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]] as const;

/** Four digits, e.g. "21.23 MFLOP". */
function amount(value: number, unit = ""): string {
  const [size, prefix] = PREFIXES.find(([size]) => value >= size) ?? [1, ""];
  return `${Number((value / size).toPrecision(4))} ${prefix}${unit}`.trimEnd();
}
