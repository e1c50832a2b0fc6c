import { fullPath } from "../../figures.ts";
import type { Profile } from "../../form.ts";
import { namesOf } from "./names.ts";

/** A stretch of the GPU's time: a step, a module or a dispatch. */
export interface Slice {
  readonly name: string;
  /** The module's, with the model in front; "" of a step. */
  readonly path: string;
  /** 0 for steps, 1 for models, then a module each. */
  readonly depth: number;
  /** In ms. */
  readonly start: number;
  readonly end: number;
  /** Index of a dispatch's row; undefined of modules and steps. */
  readonly row: number | undefined;
}

type Open = { -readonly [Key in keyof Slice]: Slice[Key] };

/**
 * Steps with their modules and dispatches, each in front of what is within it. Dispatches that follow one
 * another in a module are within one slice of it.
 */
export function slicesOf({ rows, dispatches }: Profile): Slice[] {
  const steps = stepNames(dispatches.map(([row, occurrence]) => [occurrence, rows[row]!.mark]));
  const slices: Open[] = [];
  let [open, occurrence]: [Open[], string] = [[], ""];
  for (const [row, own, start, ms] of dispatches) {
    const path = fullPath(rows[row]!);
    const names = [steps.get(own)!, ...namesOf(path)];
    if (own !== occurrence) open = [];
    occurrence = own;
    const same = names.findIndex((name, depth) => open[depth]?.name !== name);
    open = open.slice(0, same < 0 ? names.length : same);
    for (const [depth, name] of names.entries()) {
      if (depth < open.length) continue;
      const slice = {
        name,
        path: names.slice(1, depth + 1).join("."),
        depth,
        start,
        end: start,
        row: undefined,
      };
      open.push(slice);
      slices.push(slice);
    }
    for (const slice of open) slice.end = Math.max(slice.end, start + ms);
    slices.push({ name: rows[row]!.kernel, path, depth: names.length, start, end: start + ms, row });
  }
  return slices;
}

/** Names of steps by their occurrences, e.g. "step 3", and of what a run does outside of them. */
function stepNames(occurrences: readonly (readonly [string, string])[]): Map<string, string> {
  const names = new Map<string, string>();
  const counts = new Map<string, number>();
  for (const [occurrence, mark] of occurrences) {
    if (names.has(occurrence)) continue;
    const run = occurrence.split(".")[0]!;
    const count = (counts.get(run) ?? 0) + (mark ? 1 : 0);
    counts.set(run, count);
    names.set(occurrence, mark ? `${mark.split("/")[0]} ${count}` : "outside steps");
  }
  return names;
}

/** What the host does for a while, or a stretch of its loop that was named. */
export interface Span {
  readonly name: string;
  /** True of work. */
  readonly isWork: boolean;
  /** 0 for outermost stretches, then those within them; the last is that of work. */
  readonly depth: number;
  /** In ms. */
  readonly start: number;
  readonly end: number;
}

/** The host's stretches and its work. */
export function spansOf({ host, stretches }: Pick<Profile, "host" | "stretches">): Span[] {
  const named = stretches.map(([mark, , start, ms]): Span => {
    const names = mark.split("/");
    return { name: names.at(-1)!, isWork: false, depth: names.length - 1, start, end: start + ms };
  });
  const depth = lanesOf(named).length;
  return [
    ...named,
    ...host.map(([name, , start, ms]): Span => ({ name, isWork: true, depth, start, end: start + ms })),
  ];
}

/** Boxes by their depth. */
export function lanesOf<Box extends { readonly depth: number }>(boxes: readonly Box[]): Box[][] {
  const lanes: Box[][] = [];
  for (const box of boxes) (lanes[box.depth] ??= []).push(box);
  return Array.from(lanes, (lane) => lane ?? []);
}

/** Start and end of the step whose length is the median, in ms; of everything where there are no steps. */
export function medianStep(slices: readonly Slice[]): [number, number] {
  const tops = slices.filter(({ depth }) => depth === 0);
  const steps = tops.filter(({ name }) => name !== "outside steps").sort((a, b) => length(a) - length(b));
  const middle = steps[Math.floor((steps.length - 1) / 2)];
  return middle ? [middle.start, middle.end] : spanOf(tops);
}

/** From the first start to the last end; from 0 to 1 of nothing. */
export function spanOf(slices: readonly Pick<Slice, "start" | "end">[]): [number, number] {
  let [first, last] = [Infinity, -Infinity];
  for (const { start, end } of slices) [first, last] = [Math.min(first, start), Math.max(last, end)];
  return first < last ? [first, last] : [0, 1];
}

const length = ({ start, end }: Slice) => end - start;
