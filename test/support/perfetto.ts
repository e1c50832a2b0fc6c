import { z } from "zod";

const track = { pid: z.int().positive(), tid: z.int().positive() };
const args = z.record(z.string(), z.union([z.string(), z.number()]));
const time = z.number().refine((ts) =>
  Number.isFinite(ts) && Math.abs(ts * 1000 - Math.round(ts * 1000)) < 1e-3
);

/** Events of Chrome's trace format as Perfetto's reader takes them: what it would drop or count as a failure is refused. */
const form = z.strictObject({
  traceEvents: z.array(z.discriminatedUnion("ph", [
    z.strictObject({
      ph: z.literal("B"),
      name: z.string().min(1),
      cat: z.string(),
      ts: time,
      ...track,
      args: args.optional(),
    }),
    z.strictObject({ ph: z.literal("E"), ts: time, ...track }),
    z.strictObject({
      ph: z.literal("C"),
      name: z.string().min(1),
      ts: time,
      ...track,
      args: z.record(z.string(), z.number()),
    }),
    z.strictObject({
      ph: z.literal("M"),
      name: z.enum(["process_name", "thread_name"]),
      ts: z.literal(0),
      ...track,
      args: z.strictObject({ name: z.string().min(1) }),
    }),
  ])),
});

/** A slice, with the names of those around it and its own. */
export interface ReadSlice {
  readonly path: readonly string[];
  readonly cat: string;
  readonly tid: number;
  readonly ts: number;
  readonly dur: number;
  readonly args: Readonly<Record<string, unknown>> | undefined;
}

/**
 * A trace as Perfetto's trace processor reads it: on each track a slice ends with the next E, and lies in those that are open.
 * Throws where a time goes back, a slice has no end, or an end no slice.
 */
export function readTrace(trace: unknown) {
  const { traceEvents: events } = form.parse(trace);
  const tracks = new Map<number, string>();
  const open = new Map<number, { name: string; slice: ReadSlice & { dur: number } }[]>();
  const last = new Map<number, number>();
  const slices: ReadSlice[] = [];
  for (const event of events) {
    if (event.ph === "M" && event.name === "thread_name") tracks.set(event.tid, event.args.name);
    if (event.ph !== "B" && event.ph !== "E") continue;
    const { tid, ts } = event;
    if (ts < (last.get(tid) ?? -Infinity)) {
      throw new Error(`at ${ts} µs of ${tracks.get(tid)}: before the event in front`);
    }
    last.set(tid, ts);
    const stack = open.get(tid) ?? [];
    open.set(tid, stack);
    if (event.ph === "B") {
      const { name, cat, args } = event;
      const slice = { path: [...stack.map(({ name }) => name), name], cat, tid, ts, dur: -1, args };
      slices.push(slice);
      stack.push({ name, slice });
    } else {
      const ended = stack.pop();
      if (!ended) throw new Error(`at ${ts} µs of ${tracks.get(tid)}: no slice to end`);
      ended.slice.dur = Math.round((ts - ended.slice.ts) * 1000) / 1000;
    }
  }
  for (const [tid, stack] of open) {
    if (stack.length) throw new Error(`${stack.length} slices of ${tracks.get(tid)} are left open`);
  }
  return { slices, tracks, counters: events.filter((event) => event.ph === "C") };
}
