import type { Device } from "denoise";
import { replaceShaders } from "../../src/gpu/shader/replace_shader.ts";
import { SHADER_FILES } from "../../src/gpu/shader/snippet.ts";
import { Bench, type Trial } from "../../src/graph/tuning/bench.ts";
import {
  describeMismatch,
  mismatch,
  resultOf,
  rootMeanSquare,
  type Sample,
  toleranceOf,
} from "../../src/graph/tuning/check.ts";
import { timeInTurns } from "../../src/graph/tuning/stopwatch.ts";
import { filesOf, type Work } from "../kernel/works.ts";

/** Limits of one answer: those of a software adapter keep it within a second. */
const LIMITS = {
  software: { flops: 2e8, rounds: 41, least: 5, mostMs: 400 },
  gpu: { flops: Infinity, rounds: 41, least: 9, mostMs: 1200 },
};

/** Arithmetic operations of a shape at most, that an answer is there soon. */
export function flopsLimit(device: Device): number {
  return LIMITS[device.traits.software ? "software" : "gpu"].flops;
}

/** Results of a version of the shaders on one shape. Differences are the largest of any element, in root mean squares of the result. */
export interface Row {
  readonly work: Work;
  /** Difference from the plain form with the shaders as they are shipped. */
  readonly fromPlain: number;
  /** Difference from the version before. */
  readonly fromBefore: number;
  /** What is computed wrongly, if anything; then nothing is timed, and the version before stays. */
  readonly wrong?: string | undefined;
  /** Milliseconds of turns of the version before, and of this one. */
  readonly before: readonly number[];
  readonly now: readonly number[];
}

/** What a change of shaders did. */
export interface Change {
  readonly files: readonly string[];
  /** Kernels that were compiled anew, and how long that took. */
  readonly compiled: number;
  readonly compileMs: number;
  readonly rows: readonly Row[];
}

/** A shape in memory with the last version of the shaders that was right there. */
interface Bay {
  readonly work: Work;
  readonly bench: Bench;
  readonly files: ReadonlySet<string>;
  readonly plain: Sample;
  /** Runs the shaders as they are. */
  readonly trial: Trial;
  before: { readonly trial: Trial; readonly result: Sample };
}

/**
 * Kernels with seeded inputs in memory, whose shaders are changed while it is open: each change is compiled, compared with the
 * plain form and with the version before, and timed with the latter in turns.
 */
export class Workbench implements Disposable {
  readonly #device: Device;
  readonly #bays: Bay[] = [];
  /** Texts that stand, by file. */
  #texts: ReadonlyMap<string, string> = new Map([...SHADER_FILES].map(([path, { text }]) => [path, text]));

  private constructor(device: Device) {
    this.#device = device;
  }

  /** Takes memory for kernels, and runs their plain forms. */
  static async open(device: Device, works: readonly Work[]): Promise<Workbench> {
    const workbench = new Workbench(device);
    try {
      for (const work of works) workbench.#bays.push(await openBay(device, work));
      return workbench;
    } catch (error) {
      workbench[Symbol.dispose]();
      throw error;
    }
  }

  /** Files of `shaders/` that the kernels are made of. */
  get files(): string[] {
    return [...new Set(this.#bays.flatMap(({ files }) => [...files]))];
  }

  /**
   * Puts a folder's texts in front of ours; undefined where no text is another than before. Where one does not compile it throws,
   * and all that was before stays.
   */
  async change(folder: ReadonlyMap<string, string>): Promise<Change | undefined> {
    const own = (path: string) => SHADER_FILES.get(path)?.text;
    const paths = new Set([...SHADER_FILES.keys(), ...folder.keys()]);
    const files = [...paths].filter((path) => (folder.get(path) ?? own(path)) !== this.#texts.get(path));
    if (files.length === 0) return undefined;
    const start = performance.now();
    const compiled = await replaceShaders(
      this.#device,
      new Map(files.map((path) => [path, folder.get(path)])),
    );
    const compileMs = performance.now() - start;
    this.#texts = new Map([...paths].map((path) => [path, (folder.get(path) ?? own(path))!]));
    const changed = this.#bays.filter((bay) => files.some((path) => bay.files.has(path)));
    const rows: Row[] = [];
    for (const bay of changed) rows.push(await this.#row(bay, changed.length));
    return { files, compiled, compileMs, rows };
  }

  async #row(bay: Bay, rows: number): Promise<Row> {
    const device = this.#device;
    const { work, plain, before } = bay;
    const trial = bay.trial.frozen();
    const result = await resultOf(device, bay.bench, work.problem, trial);
    const fromPlain = difference(plain, result);
    const fromBefore = difference(before.result, result);
    const found = mismatch(plain, result, toleranceOf(work.problem, work.candidate));
    if (found) {
      return {
        work,
        fromPlain,
        fromBefore,
        wrong: describeMismatch(work.problem, found),
        before: [],
        now: [],
      };
    }
    const { mostMs, flops: _, ...patience } = LIMITS[device.traits.software ? "software" : "gpu"];
    const [old, now] = await timeInTurns(device, [before.trial, trial], {
      ...patience,
      mostMs: mostMs / rows,
    });
    bay.before = { trial, result };
    return { work, fromPlain, fromBefore, before: old!, now: now! };
  }

  [Symbol.dispose](): void {
    for (const { bench } of this.#bays.splice(0)) bench[Symbol.dispose]();
  }
}

async function openBay(device: Device, work: Work): Promise<Bay> {
  const { problem, candidate } = work;
  const bench = await Bench.open(device, problem);
  try {
    const reference = problem.candidates.find((other) => other.plain) ?? candidate;
    const plain = await resultOf(device, bench, problem, await bench.ready(reference));
    const trial = await bench.ready(candidate);
    const before = { trial: trial.frozen(), result: await resultOf(device, bench, problem, trial) };
    return { work, bench, files: filesOf(candidate), plain, trial, before };
  } catch (error) {
    bench[Symbol.dispose]();
    throw error;
  }
}

/** The largest difference of two results, in root mean squares of the first. */
function difference(one: Sample, other: Sample): number {
  const worst = mismatch(one, other, 0);
  return worst ? Math.abs(worst.got - worst.expected) / rootMeanSquare(one) : 0;
}
