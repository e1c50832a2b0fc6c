import type { Device } from "../../gpu/device.ts";
import { DeviceLostError, GPUCommandError, OutOfMemoryError, ShaderError } from "../../gpu/errors.ts";
import { writeTunings } from "../../gpu/tunings/tunings_file.ts";
import { Bench, benchBytes, type Problem, problemOf, shapeOf, type Trial } from "./bench.ts";
import { describeMismatch, mismatch, resultOf, rootMeanSquare, type Sample, toleranceOf } from "./check.ts";
import { choiceId, classOf, hashOf, idOf, rightOnes } from "./choice.ts";
import type { Group } from "../fusion/fuse.ts";
import type { Candidate, KernelSpec } from "../node.ts";
import { median, type Patience, timeInTurns } from "./stopwatch.ts";

/** Result of measuring one kernel. */
export interface Outcome {
  readonly problem: Problem;
  /** Milliseconds by candidate, the fastest first. */
  readonly ms: Readonly<Record<string, number>>;
  /** Candidates that are never taken, and why. */
  readonly dropped: Readonly<Record<string, string>>;
  /** Why nothing was measured, if so. */
  readonly skipped?: string | undefined;
  /** The loss of the device, where a candidate caused it: that one is dropped. */
  readonly lost?: DeviceLostError | undefined;
}

/** Options of measuring kernels. */
export interface TuneOptions {
  /** Called with each kernel once it was measured. */
  readonly onOutcome?: ((outcome: Outcome) => void) | undefined;
  /** Takes lines for people; they go to standard error by default. */
  readonly onNotice?: ((line: string) => void) | undefined;
  /** Bytes that a kernel may take while it is measured; no limit by default. */
  readonly memory?: number | undefined;
  /** Keeps the outcome in the user's cache; true by default. */
  readonly keep?: boolean | undefined;
}

const SOFTWARE_FLOPS = 5e9; // of a kernel: a second for a slow candidate
const PATIENCE = {
  software: { rounds: 5, least: 1, mostMs: 2000 },
  gpu: { rounds: 11, least: 3, mostMs: 300 },
};

/** Which of the kernels in groups have candidates that were not measured yet, one of each class of shapes. */
export function unmeasured(device: Device, groups: readonly Group[]): Problem[] {
  const problems = new Map<string, Problem>();
  for (const { kernel } of groups) {
    if (!kernel || kernel.spec.candidates.length === 1 || isMeasured(device, kernel.spec)) continue;
    const id = choiceId(kernel.spec);
    if (!problems.has(id)) problems.set(id, problemOf(kernel));
  }
  return [...problems.values()];
}

/** True if all candidates of a kernel that are not known to be wrong were measured in its class of shapes. */
export function isMeasured(
  device: Device,
  spec: Pick<KernelSpec, "name" | "shapeClass" | "candidates">,
): boolean {
  const ids = rightOnes(device, spec).map(idOf);
  const times = device.tunings.times(classOf(spec), ids) ?? {};
  return ids.every((id) => id in times);
}

/** Measurements on a device, each of which waits for the one before. */
class Queue {
  last: Promise<unknown> = Promise.resolve();
}

/**
 * Measures the candidates of kernels on a device, one after the other with equal inputs, after checking each against the
 * plain one; what comes of it is kept in the user's cache. Calls wait for each other.
 */
export function tune(
  device: Device,
  problems: readonly Problem[],
  options: TuneOptions = {},
): Promise<Outcome[]> {
  const queue = device.attached(Queue);
  const outcomes = queue.last.catch(() => {}).then(() => tuneAll(device, problems, options));
  queue.last = outcomes;
  return outcomes;
}

async function tuneAll(
  device: Device,
  problems: readonly Problem[],
  { onOutcome, onNotice = console.warn, memory, keep = true }: TuneOptions,
): Promise<Outcome[]> {
  const outcomes: Outcome[] = [];
  let keeps = keep;
  for (const problem of problems) {
    const outcome = await measure(device, problem, onNotice, memory);
    const { ms, dropped } = outcome;
    for (const [id, why] of Object.entries(dropped)) {
      const candidate = problem.candidates.find((candidate) => idOf(candidate) === id)!;
      device.tunings.drop(id, { code: hashOf(candidate, device.pipelines.texts), why });
    }
    device.tunings.add(classOf(problem), { shape: shapeOf(problem), ms: { ...ms } });
    if (keeps && !outcome.skipped) {
      try {
        writeTunings(device.tunings);
      } catch (error) {
        onNotice((error as Error).message);
        keeps = false;
      }
    }
    if (outcome.lost) throw outcome.lost; // once it is kept which candidate did it
    outcomes.push(outcome);
    onOutcome?.(outcome);
  }
  return outcomes;
}

async function measure(
  device: Device,
  problem: Problem,
  onNotice: (line: string) => void,
  memory = Infinity,
): Promise<Outcome> {
  const skip = (skipped: string): Outcome => ({ problem, ms: {}, dropped: {}, skipped });
  const { software } = device.traits;
  if (software && problem.flops > SOFTWARE_FLOPS) return skip("takes too long on a software adapter");
  if (benchBytes(problem) > memory) return skip("takes more memory than there is");
  try {
    using bench = await Bench.open(device, problem);
    return await new Tryout(device, problem, bench, onNotice).run();
  } catch (error) {
    if (!(error instanceof OutOfMemoryError) && !(error instanceof RangeError)) throw error;
    await device.settle();
    return skip(error.message);
  }
}

/** The candidate that the others are checked against. */
function plainOf({ candidates }: Problem): Candidate | undefined {
  return candidates.length === 1 ? candidates[0] : candidates.find((candidate) => candidate.plain);
}

/** The fault of a candidate, from an error. Errors that are not the candidate's, such as of a lost device, are thrown again. */
function faultOf(error: unknown): string {
  const isFault = error instanceof ShaderError || error instanceof GPUCommandError;
  if (!isFault || error instanceof OutOfMemoryError) throw error;
  return error.message;
}

/** Candidates of one problem: each is compiled, checked and timed. */
class Tryout {
  readonly #dropped: Record<string, string> = {};

  constructor(
    readonly device: Device,
    readonly problem: Problem,
    readonly bench: Bench,
    readonly onNotice: (line: string) => void,
  ) {}

  async run(): Promise<Outcome> {
    const { device, problem, bench } = this;
    const skip = (skipped: string): Outcome => ({ problem, ms: {}, dropped: {}, skipped });
    const right = rightOnes(device, problem);
    const plain = plainOf(problem);
    if (!plain) return skip("none of its candidates is the plain one");
    for (const candidate of [plain, ...right]) bench.compile(candidate);
    const reference = await this.#ready(plain);
    if (typeof reference === "string") return skip(reference);
    const expected = await this.#result(reference);
    const size = rootMeanSquare(expected);
    if (!(size > 0 && size < Infinity)) return skip(`${plain.name}, the plain one, computes no numbers`);
    const trials: Trial[] = [];
    for (const candidate of right) {
      try {
        const trial = candidate === plain ? reference : await this.#tried(candidate, expected);
        if (trial) trials.push(trial);
      } catch (error) {
        if (!(error instanceof DeviceLostError) || device.isClosed) throw error; // closing it is nobody's fault
        this.#drop(candidate, `it loses the device: ${error.message}`);
        return { problem, ms: {}, dropped: this.#dropped, lost: error };
      }
    }
    const patience: Patience = device.traits.software ? PATIENCE.software : PATIENCE.gpu;
    const times = await timeInTurns(device, trials, patience);
    const ms = trials.map(({ candidate }, i) =>
      [idOf(candidate), Number(median(times[i]!).toPrecision(4))] as const
    );
    return { problem, ms: Object.fromEntries(ms.sort(([, a], [, b]) => a - b)), dropped: this.#dropped };
  }

  /** The candidate ready to run, or why it is not. */
  async #ready(candidate: Candidate): Promise<Trial | string> {
    try {
      return await this.bench.ready(candidate);
    } catch (error) {
      return faultOf(error);
    }
  }

  /** A candidate that runs and computes what the plain one does; others are dropped with a line. */
  async #tried(candidate: Candidate, expected: Sample): Promise<Trial | undefined> {
    const { device } = this;
    let trial: Trial | string;
    let why: string | undefined;
    try {
      trial = await this.#ready(candidate);
      why = typeof trial === "string" ? trial : await this.#wrong(trial, expected);
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      await device.settle();
      return undefined; // another time there may be more
    }
    if (why === undefined) return trial as Trial;
    this.#drop(candidate, why);
    return undefined;
  }

  #drop(candidate: Candidate, why: string): void {
    this.#dropped[idOf(candidate)] = why;
    this.onNotice(`${candidate.name} is not used on ${this.device.adapterName}: ${why}`);
  }

  /** Difference between a candidate's result and the plain one's, in words, if there is one. */
  async #wrong(trial: Trial, expected: Sample): Promise<string | undefined> {
    const { problem } = this;
    try {
      const found = mismatch(expected, await this.#result(trial), toleranceOf(problem, trial.candidate));
      return found &&
        `it computes ${problem.name} ${shapeOf(problem)} wrongly: ${describeMismatch(problem, found)}`;
    } catch (error) {
      return faultOf(error);
    }
  }

  #result(trial: Trial): Promise<Sample> {
    return resultOf(this.device, this.bench, this.problem, trial);
  }
}
