import type { Device, HostTimes, TimedDispatch } from "denoise";
import type { Subject } from "./subject.ts";

/** A dispatch of a profiled run. */
export interface Sample extends TimedDispatch {
  /** Equal for dispatches of one step, or of what a run does outside its steps. */
  readonly occurrence: string;
}

/** The times of a subject, in ms. */
export interface Measured {
  /** The first steps, which compile and plan. */
  readonly warmUpMs: number;
  /** Runs without timestamps: whole, and the time from the beginning of each step to that of the next. */
  readonly runMs: readonly number[];
  readonly stepMs: readonly number[];
  /** Of the host, in all of these runs; `record` is what is in none of the others: to record, and whatever else it does. */
  readonly host: HostTimes & { readonly record: number };
  /** Runs with timestamps at passes as they are: by the clock, and on the GPU. */
  readonly passesRunMs: readonly number[];
  readonly passesGpuMs: readonly number[];
  /** Runs with a pass for each dispatch. */
  readonly dispatchesRunMs: readonly number[];
  readonly samples: readonly Sample[];
}

const WARM_UP = 3; // steps: the first compiles, the second finds which inputs stay, the third takes the memory for that

/** Runs a subject `runs` times in each of three ways: without timestamps, with a few, with one for each dispatch. */
export async function measure(
  device: Device,
  subject: Subject,
  { steps, runs }: { steps: number; runs: number },
): Promise<Measured> {
  const profiler = device.profiler!;
  profiler.mode = "off";
  const warmUpMs = await timed(() => subject.run(WARM_UP));

  await profiler.reset();
  const before = { ...device.hostTimes };
  const [runMs, stepMs]: [number[], number[]] = [[], []];
  for (let run = 0; run < runs; run++) {
    const ms = await timed(() => subject.run(steps));
    runMs.push(ms);
    const starts = profiler.stretches.filter(({ mark }) => mark === "step").map(({ start }) => start);
    const times = starts.slice(1).map((start, i) => start - starts[i]!);
    stepMs.push(...times.length > 1 ? times.slice(1) : [ms / starts.length]); // the second does not wait for the first
    await profiler.reset();
  }
  const host = hostSince(before, device.hostTimes, runMs.reduce((a, b) => a + b, 0));

  profiler.mode = "passes";
  const passes = await timedRuns(device, subject, steps, runs);
  profiler.mode = "dispatches";
  const dispatches = await timedRuns(device, subject, steps, runs);
  return {
    warmUpMs,
    runMs,
    stepMs,
    host,
    passesRunMs: passes.ms,
    passesGpuMs: passes.samples.map((list) => list.reduce((sum, { ms }) => sum + ms, 0)),
    dispatchesRunMs: dispatches.ms,
    samples: dispatches.samples.flat(),
  };
}

async function timedRuns(device: Device, subject: Subject, steps: number, runs: number) {
  const profiler = device.profiler!;
  const [ms, samples]: [number[], Sample[][]] = [[], []];
  for (let run = 0; run < runs; run++) {
    await profiler.reset();
    ms.push(await timed(() => subject.run(steps)));
    const list = await profiler.dispatches();
    samples.push(list.map((dispatch) => ({ ...dispatch, occurrence: `${run}.${dispatch.turn}` })));
  }
  await profiler.reset();
  return { ms, samples };
}

async function timed(work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return performance.now() - start;
}

function hostSince(before: HostTimes, after: HostTimes, wallMs: number): Measured["host"] {
  const { fuse, prepare, encode, submit, wait } = after;
  const spent = {
    fuse: fuse - before.fuse,
    prepare: prepare - before.prepare,
    encode: encode - before.encode,
    submit: submit - before.submit,
    wait: wait - before.wait,
  };
  return { record: Math.max(0, Object.values(spent).reduce((rest, ms) => rest - ms, wallMs)), ...spent };
}
