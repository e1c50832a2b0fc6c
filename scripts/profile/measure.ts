import type { Device, Pipeline, Recording, Stretch, TimedDispatch } from "denoise";
import type { HostKind } from "./form.ts";
import { type HostStretch, hostStretches } from "./host.ts";
import type { Subject } from "./subject.ts";

/** A dispatch of a profiled run. */
export interface Sample extends TimedDispatch {
  /** Equal for dispatches of one step, or of what a run does outside its steps. */
  readonly occurrence: string;
}

/** A run, timed. */
export interface TimedRun {
  /** When it began and ended, by performance.now(). */
  readonly start: number;
  readonly end: number;
  readonly recording: Recording;
  readonly host: readonly HostStretch[];
}

/** The times of a subject. */
export interface Measured {
  /** The first steps, which compile and plan, and of a pipeline a run like those that are timed, in ms. */
  readonly warmUpMs: number;
  /** Runs without timestamps. */
  readonly plain: readonly TimedRun[];
  /** Runs with timestamps at passes as they are. */
  readonly passes: readonly TimedRun[];
  /** Runs with a pass for each dispatch. */
  readonly dispatches: readonly TimedRun[];
}

const WARM_UP = 3; // steps: the first compiles, the second finds which inputs stay, the third takes the memory for that

/** Runs a subject `runs` times in each of three ways: without timestamps, with a few, with one for each dispatch. */
export async function measure(
  device: Device,
  subject: Subject,
  { steps, runs }: { steps: number; runs: number },
): Promise<Measured> {
  const profiler = device.profiler!;
  const timedRuns = async (mode: typeof profiler.mode, steps: number, runs: number) => {
    profiler.mode = mode;
    const found: TimedRun[] = [];
    for (let run = 0; run < runs; run++) {
      await profiler.reset();
      const start = performance.now();
      await subject.run(steps);
      const end = performance.now();
      const recording = await profiler.recording();
      found.push({ start, end, recording, host: hostStretches(recording, start, end) });
    }
    await profiler.reset();
    return found;
  };
  const warmUp = await timedRuns("off", WARM_UP, 1);
  if (subject.isLoop && steps !== WARM_UP) warmUp.push(...await timedRuns("off", steps, 1));
  return {
    warmUpMs: warmUp.reduce((sum, run) => sum + wallMs(run), 0),
    plain: await timedRuns("off", steps, runs),
    passes: await timedRuns("passes", steps, runs),
    dispatches: await timedRuns("dispatches", steps, runs),
  };
}

/**
 * The steps alone of a pipeline's runs: those between the first and the last of each, from where one begins to where the next
 * does, without texts and VAE, as if a model's step had been run for itself. Throws where there are none.
 */
export function innerSteps(measured: Measured): { readonly steps: number; readonly measured: Measured } {
  const [first] = measured.plain.map(({ recording }) => stepsOf(recording).length - 2);
  if (!first || first < 1) {
    throw new RangeError("Cannot profile a step: expected a run of at least 3 steps; say more steps");
  }
  const { warmUpMs, plain, passes, dispatches } = measured;
  const inner = (runs: readonly TimedRun[]) => runs.map(innerRun);
  return {
    steps: first,
    measured: { warmUpMs, plain: inner(plain), passes: inner(passes), dispatches: inner(dispatches) },
  };
}

function innerRun({ recording }: TimedRun): TimedRun {
  const all = stepsOf(recording);
  const [start, end] = [all[1]!.start, all.at(-1)!.start];
  const turns = new Set(all.slice(1, -1).map(({ turn }) => turn));
  const isInner = ({ turn }: { readonly turn: number }) => turns.has(turn);
  const before = recording.memory.findLast(([at]) => at <= start);
  const inner: Recording = {
    ...recording,
    dispatches: recording.dispatches.filter(isInner),
    stretches: recording.stretches.filter(isInner),
    memory: [
      ...before ? [[start, before[1]] as const] : [],
      ...recording.memory.filter(([at]) => at > start && at < end),
    ],
  };
  return { start, end, recording: inner, host: hostStretches(inner, start, end) };
}

/** Length of a run in ms. */
export function wallMs({ start, end }: TimedRun): number {
  return end - start;
}

/** Time of a run on the GPU in ms. */
export function gpuMs({ recording }: TimedRun): number {
  return recording.dispatches.reduce((sum, { ms }) => sum + ms, 0);
}

/**
 * Times of steps in ms, without what a run does in front of its steps and behind them: from the beginning of one to that of the
 * next. The first is left out, as the second does not wait for it; where no other is left, those of runs with timestamps count,
 * each from when the host begins it and the GPU is free for it to the end of its last dispatch.
 */
export function stepTimes({ plain, passes }: Pick<Measured, "plain" | "passes">): number[] {
  const times = plain.flatMap(({ recording }) => {
    const starts = stepsOf(recording).map(({ start }) => start);
    return starts.slice(2).map((start, i) => start - starts[i + 1]!);
  });
  return times.length > 0 ? times : passes.flatMap(stampedSteps);
}

function stampedSteps({ recording }: TimedRun): number[] {
  const { dispatches, clock } = recording;
  const ends = dispatches.map(({ start, ms }) => start + ms + clock!.offset);
  return stepsOf(recording).flatMap(({ start, turn }) => {
    const first = dispatches.findIndex((dispatch) => dispatch.turn === turn);
    const last = dispatches.findLastIndex((dispatch) => dispatch.turn === turn);
    return first < 0 ? [] : [ends[last]! - Math.max(start, ends[first - 1] ?? start)];
  });
}

function stepsOf({ stretches }: Recording): readonly Stretch[] {
  return stretches.filter(({ mark }) => mark === "step");
}

/** Time of the host in a run by its kind, in ms. */
export function hostMs({ host }: TimedRun, kind: HostKind): number {
  return host.reduce((sum, span) => span.kind === kind ? sum + span.end - span.start : sum, 0);
}

/** The dispatches of runs. */
export function samplesOf(runs: readonly TimedRun[]): Sample[] {
  return runs.flatMap(({ recording }, run) =>
    recording.dispatches.map((dispatch) => ({
      ...dispatch,
      start: dispatch.start + recording.clock!.offset,
      occurrence: occurrenceOf(run, dispatch.turn),
    }))
  );
}

/** What ran with a pass for each dispatch, in the order in which each ran first. */
export function pipelinesOf({ dispatches }: Measured): Pipeline[] {
  const all = dispatches.flatMap(({ recording }) => recording.dispatches.map(({ pipeline }) => pipeline));
  return [...new Set(all)];
}

/** Name of a step of a run, or with turn 0 of what the run does outside its steps. */
export function occurrenceOf(run: number, turn: number): string {
  return `${run}.${turn}`;
}
