import type { Recording, Stretch } from "denoise";
import type { HostKind } from "./form.ts";

/** A stretch of the host's time in a run. */
export interface HostStretch {
  readonly kind: HostKind;
  /** Number of the step, as its dispatches have it; 0 outside steps. */
  readonly turn: number;
  readonly start: number;
  readonly end: number;
}

/**
 * The host's time in a run from `start` to `end`, by performance.now(), without gaps: of spans within others
 * the one that began last counts, and what is in none is `record`. A step goes on until the next begins, the
 * last until its work is done.
 */
export function hostStretches(recording: Recording, start: number, end: number): HostStretch[] {
  const steps = stepsOf(recording, end);
  const spans = recording.host.filter((span) => span.start < end && span.end > start)
    .toSorted((a, b) => a.start - b.start);
  const times = [start, end, ...spans.flatMap((span) => [span.start, span.end]), ...steps.map(([at]) => at)];
  const edges = [...new Set(times)].filter((at) => at >= start && at <= end).sort((a, b) => a - b);
  const found: HostStretch[] = [];
  let active: typeof spans = [];
  let [next, step] = [0, 0];
  for (const [i, from] of edges.slice(0, -1).entries()) {
    while (next < spans.length && spans[next]!.start <= from) active.push(spans[next++]!);
    while (step < steps.length && steps[step]![0] <= from) step++;
    active = active.filter((span) => span.end > from);
    const kind = active.at(-1)?.kind ?? "record";
    const turn = steps[step - 1]?.[1] ?? 0;
    const last = found.at(-1);
    if (last?.kind === kind && last.turn === turn) found[found.length - 1] = { ...last, end: edges[i + 1]! };
    else found.push({ kind, turn, start: from, end: edges[i + 1]! });
  }
  return found;
}

/** From which time on which step goes on, in order; 0 stands for none. */
function stepsOf({ stretches, dispatches, clock }: Recording, end: number): [at: number, turn: number][] {
  const steps = stretches.filter(isOutermost);
  const last = steps.at(-1);
  if (!last) return [];
  const ends = dispatches.filter(({ turn }) => turn === last.turn).map(({ start, ms }) =>
    start + ms + clock!.offset
  );
  const done = Math.min(end, ends.reduce((a, b) => Math.max(a, b), last.end ?? end));
  return [...steps.map(({ start, turn }): [number, number] => [start, turn]), [done, 0]];
}

function isOutermost({ mark }: Stretch): boolean {
  return !mark.includes("/");
}
