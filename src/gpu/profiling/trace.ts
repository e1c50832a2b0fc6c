import type { InputRecord, Recording, TimedDispatch } from "./records.ts";

/** An event of Chrome's trace format, which Perfetto reads. */
export interface TraceEvent {
  /** B: a slice begins on its track; E: the one that began last ends; C: values of counters; M: a name. */
  readonly ph: "B" | "E" | "C" | "M";
  /** Name of what begins, is counted or named; undefined where a slice ends. */
  readonly name?: string;
  /** Kind of a slice. */
  readonly cat?: string;
  /** In µs, to the nanosecond. */
  readonly ts: number;
  /** Group of tracks: the GPU, or the host. */
  readonly pid: number;
  /** Track. */
  readonly tid: number;
  /** Texts that Perfetto shows beside a slice; of counters their values. */
  readonly args?: Readonly<Record<string, unknown>>;
}

/** A slice of a track, in ms; those of `within` lie in it. */
interface Slice {
  readonly name: string;
  readonly cat: string;
  readonly start: number;
  readonly end: number;
  readonly args?: Readonly<Record<string, unknown>>;
  readonly within?: readonly Slice[];
}

const GPU = { pid: 1, tid: 1 };
const MARKS = { pid: 2, tid: 2 };
const WORK = { pid: 2, tid: 3 };
const WAITS = { pid: 2, tid: 4 };

/**
 * A recording as a trace for Perfetto. On the GPU's track stretches hold models, those their modules, and
 * these their dispatches; a dispatch that begins before the one in front of it ended is shown from there on,
 * and has its own time in its `ms`. The host's tracks have stretches, work and waits. Counters have the
 * device's memory, and what of it a model's results need. GPU and host are on one clock, see ClockOffset.
 */
export function traceEvents(recording: Recording): { traceEvents: TraceEvent[] } {
  const { dispatches, host, stretches, memory, clock } = recording;
  const gpu = inOrder(dispatches, clock?.offset ?? 0);
  const marks = nested(
    stretches.map(({ mark, turn, start, end = Infinity }) => ({
      name: mark.split("/").at(-1)!,
      cat: "mark",
      start,
      end,
      args: { turn },
    })),
  );
  const spans = host.map(({ kind, start, end }) => ({ name: kind, cat: "host", start, end }));
  const [waits, work] = [true, false].map((isWait) =>
    nested(spans.filter(({ name }) => (name === "wait") === isWait))
  );
  const times = [...gpu, ...marks, ...spans].map(({ start }) => start);
  const first = times.reduce((a, b) => Math.min(a, b), memory[0]?.[0] ?? Infinity);
  const at = (ms: number) => Math.round((ms - first) * 1e6) / 1e3;
  const counter = (name: string, ms: number, bytes: number): TraceEvent => ({
    ph: "C",
    name,
    ts: at(ms),
    ...GPU,
    args: { bytes },
  });
  return {
    traceEvents: [
      named("process_name", "GPU", GPU),
      named("thread_name", "modules", GPU),
      named("process_name", "host", MARKS),
      named("thread_name", "marks", MARKS),
      named("thread_name", "work", WORK),
      named("thread_name", "waits", WAITS),
      ...eventsOf(modules(gpu), GPU, at),
      ...eventsOf(marks, MARKS, at),
      ...eventsOf(work!, WORK, at),
      ...eventsOf(waits!, WAITS, at),
      ...memory.map(([ms, bytes]) => counter("device memory", ms, bytes)),
      ...gpu.map(({ start, live }) => counter("results needed", start, live)),
    ],
  };
}

/** A dispatch with its place on the host's clock. */
interface Placed extends TimedDispatch {
  readonly end: number;
}

/** Dispatches on the host's clock, none before the end of the one in front of it. */
function inOrder(dispatches: readonly TimedDispatch[], offset: number): Placed[] {
  let before = -Infinity;
  return dispatches.map((dispatch) => {
    const start = Math.max(before, dispatch.start + offset);
    const end = before = Math.max(start, dispatch.start + dispatch.ms + offset);
    return { ...dispatch, start, end };
  });
}

/** Slices of stretches, models and modules around dispatches, down to the innermost. */
function modules(dispatches: readonly Placed[], depth = 0): Slice[] {
  const groups: { name: string | undefined; list: Placed[] }[] = [];
  for (const dispatch of dispatches) {
    const name = levelsOf(dispatch)[depth];
    const last = groups.at(-1);
    const isSame = name !== undefined && last?.name === name && last.list[0]!.turn === dispatch.turn;
    if (isSame) last!.list.push(dispatch);
    else groups.push({ name, list: [dispatch] });
  }
  return groups.map(({ name, list }): Slice => {
    if (name === undefined) return sliceOf(list[0]!);
    const [cat, turn] = [depth === 0 ? "mark" : depth === 1 ? "model" : "module", list[0]!.turn];
    const within = modules(list, depth + 1);
    return {
      name,
      cat,
      start: list[0]!.start,
      end: list.at(-1)!.end,
      args: { dispatches: list.length, ...depth === 0 && turn && { turn } },
      within,
    };
  });
}

/** Names of the slices around a dispatch: its stretch, its model, its modules, lists with their numbers. */
function levelsOf({ mark, model, path }: TimedDispatch): string[] {
  const names = path.split(/\.(?!\d+(?:\.|$))/).filter(Boolean);
  return [mark || "outside marks", model || "loop", ...names];
}

function sliceOf({ start, end, kernel, ...rest }: Placed): Slice {
  const { ms, path, shape, dtype, inputs, fused, flops, bytes, workgroups } = rest;
  return {
    name: kernel,
    cat: "kernel",
    start,
    end,
    args: {
      ms,
      path,
      result: `${dtype} [${shape.join(", ")}]`,
      ...Object.fromEntries(inputs.map((input, i) => [`input ${i}`, inputText(input)])),
      ...fused && { fused },
      flops,
      bytes,
      gflops: ms ? flops / ms / 1e6 : 0,
      gbytes: ms ? bytes / ms / 1e6 : 0,
      workgroups: workgroups.join("×"),
    },
  };
}

function inputText({ name, shape, dtype, as }: InputRecord): string {
  return [as && `${as} =`, name, dtype, `[${shape.join(", ")}]`].filter(Boolean).join(" ");
}

/**
 * Slices of one track, those within others below them: where one would outlast what it began in, it ends with
 * that.
 */
function nested(slices: readonly Slice[]): Slice[] {
  const roots: Slice[] = [];
  const open: { end: number; within: Slice[] }[] = [];
  for (const slice of slices.toSorted((a, b) => a.start - b.start || b.end - a.end)) {
    while (open.length && open.at(-1)!.end <= slice.start) open.pop();
    const outer = open.at(-1);
    const one = { ...slice, end: Math.min(slice.end, outer?.end ?? Infinity), within: [] };
    (outer?.within ?? roots).push(one);
    open.push(one);
  }
  return roots;
}

function eventsOf(
  slices: readonly Slice[],
  track: { pid: number; tid: number },
  at: (ms: number) => number,
): TraceEvent[] {
  return slices.flatMap(({ name, cat, start, end, args, within = [] }): TraceEvent[] => [
    { ph: "B", name, cat, ts: at(start), ...track, ...args && { args } },
    ...eventsOf(within, track, at),
    ...end < Infinity ? [{ ph: "E" as const, ts: at(end), ...track }] : [],
  ]);
}

function named(what: string, name: string, track: { pid: number; tid: number }): TraceEvent {
  return { ph: "M", name: what, ts: 0, ...track, args: { name } };
}
