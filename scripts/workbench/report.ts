/** The lines that the workbench prints. */
import { fusedText, shapeOf } from "../../src/graph/tuning/bench.ts";
import { median } from "../../src/graph/tuning/stopwatch.ts";
import { table } from "../inspect/table.ts";
import type { Change, Row, StepRow } from "./workbench.ts";

const HEADINGS = ["axes and types", "stores", "kernel", "uses", "off plain", "off before"];
const TIMES = ["before, ms", "now, ms", "change"];

/** What a change of shaders did to each shape, and to the model's step. */
export function describeChange({ files, compiled, compileMs, rows, step, stands }: Change): string {
  if (files.length === 0) return "the version that stands is back";
  const anew = `${compiled} ${compiled === 1 ? "kernel" : "kernels"} compiled anew in ${
    compileMs.toFixed(0)
  } ms`;
  const head = `${files.join(", ")}: ${anew}`;
  const wrong = rows.flatMap(({ work, wrong }) =>
    wrong === undefined ? [] : `WRONG ${work.candidate.name} ${shapeOf(work.problem)}: ${wrong}`
  );
  if (step?.wrong !== undefined) wrong.push(`WRONG ${step.work}: ${step.wrong}`);
  const none = rows.length === 0 && !step;
  return [
    none ? `${head}; no part of what is worked on` : head,
    ...rows.length ? [table([[...HEADINGS, ...TIMES], ...rows.map(cellsOf)])] : [],
    ...step ? [table([["step", "off before", ...TIMES], stepCellsOf(step)])] : [],
    ...wrong,
    ...stands ? [] : ["the version before stays"],
  ].join("\n");
}

function cellsOf({ work, fromPlain, fromBefore, ...row }: Row): string[] {
  const { problem, candidate, uses } = work;
  const stores = fusedText(problem) || "v";
  return [
    shapeOf(problem),
    stores.length > MOST ? `${stores.slice(0, MOST - 1)}…` : stores,
    candidate.name,
    `${uses}`,
    offOf(fromPlain),
    offOf(fromBefore),
    ...timesOf(row),
  ];
}

function stepCellsOf({ work, fromBefore, ...row }: StepRow): string[] {
  return [work, offOf(fromBefore), ...timesOf(row)];
}

function timesOf({ wrong, before, now }: Pick<Row, "wrong" | "before" | "now">): string[] {
  if (wrong !== undefined) return ["", "", "WRONG"];
  return now.length ? [timeOf(before), timeOf(now), changeOf(before, now)] : ["", "", "not timed"];
}

const MOST = 32; // characters of what is stored

function offOf(difference: number): string {
  return difference ? difference.toExponential(1) : "0";
}

/** Median of times, and half of what the middle half of them spans, in percent. */
function timeOf(times: readonly number[]): string {
  return `${median(times).toPrecision(3)} ± ${(100 * spreadOf(times) / median(times)).toFixed(0)} %`;
}

const LEAST_TURNS = 3; // that say anything

/**
 * How much longer the median is than before, where chance would hardly make it so: where the turns, each a
 * pair side by side, agree about it (of turns that are alike one in 400 would, three standard deviations of a
 * coin), or where all times of one version are above all of the other, by a greater factor than is between
 * those of either (of 3 turns that are alike one in 140 would, of 4 one in 1900).
 */
export function changeOf(before: readonly number[], now: readonly number[]): string {
  const turns = Math.min(before.length, now.length);
  const [old, recent] = [before.slice(0, turns), now.slice(0, turns)];
  const faster = recent.filter((ms, i) => ms < old[i]!).length;
  const agree = Math.abs(2 * faster - turns) >= 3 * Math.sqrt(turns);
  const apart = turns >= LEAST_TURNS && (isFarAbove(recent, old) || isFarAbove(old, recent));
  if (!agree && !apart) return `none to tell, faster in ${faster} of ${turns} turns`;
  const percent = 100 * (median(now) / median(before) - 1);
  return `${Math.abs(percent).toFixed(0)} % ${percent < 0 ? "faster" : "slower"}`;
}

/** True if the factor from the largest of others to the smallest time is above those that either spans. */
function isFarAbove(times: readonly number[], others: readonly number[]): boolean {
  const factor = Math.min(...times) / Math.max(...others);
  return factor > Math.max(1, ...[times, others].map((list) => Math.max(...list) / Math.min(...list)));
}

/** Half of what the middle half of some times spans. */
function spreadOf(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (part: number) => sorted[Math.round(part * (sorted.length - 1))]!;
  return (at(0.75) - at(0.25)) / 2;
}
