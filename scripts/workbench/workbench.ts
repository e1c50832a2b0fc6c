import type { Device, Storage } from "denoise";
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

/** Limits of one answer: those of a software adapter keep it within a second, without a model's step. */
const LIMITS = {
  software: { flops: 2e8, rounds: 41, least: 5, mostMs: 400, stepMs: 1500 },
  gpu: { flops: Infinity, rounds: 41, least: 9, mostMs: 1200, stepMs: 3000 },
};
const LEAST_STEPS = 4; // of each version

function limitsOf(device: Device) {
  return LIMITS[device.traits.software ? "software" : "gpu"];
}

/** Arithmetic operations of a shape at most, that an answer is there soon. */
export function flopsLimit(device: Device): number {
  return limitsOf(device).flops;
}

/**
 * Results of a version of the shaders on one shape. Differences are the largest of any element, in root mean
 * squares of the result.
 */
export interface Row {
  readonly work: Work;
  /** Difference from the plain form with the shaders as they are shipped. */
  readonly fromPlain: number;
  /** Difference from the version before. */
  readonly fromBefore: number;
  /** What is computed wrongly, if anything: then nothing is timed. */
  readonly wrong?: string | undefined;
  /** Milliseconds of turns of the version before, and of this one. */
  readonly before: readonly number[];
  readonly now: readonly number[];
}

/** The call of a loaded model with both versions. */
export interface StepRow extends Omit<Row, "work" | "fromPlain"> {
  /** The model, and what it is called with. */
  readonly work: string;
}

/** What a change of shaders did. */
export interface Change {
  /** Those that differ from the version that stands; none where it is back. */
  readonly files: readonly string[];
  /** Kernels that changed, those of the loaded model among them, and how long it took to compile them. */
  readonly compiled: number;
  readonly compileMs: number;
  readonly rows: readonly Row[];
  readonly step?: StepRow | undefined;
  /** True if it stands now; a version that computes something wrongly gives way to the one before. */
  readonly stands: boolean;
}

/** A shape in memory with the last version of the shaders that was right there. */
interface Bay {
  readonly work: Work;
  readonly bench: Bench;
  readonly inputs: Disposable | undefined;
  readonly files: ReadonlySet<string>;
  readonly plain: Sample;
  /** Runs the shaders as they are. */
  readonly trial: Trial;
  before: { readonly trial: Trial; readonly result: Sample };
}

/** A result of a new version, not timed yet. */
interface Checked extends Pick<Row, "fromPlain" | "fromBefore" | "wrong"> {
  readonly bay: Bay;
  readonly trial: Trial;
  readonly result: Sample;
}

/** Options of a workbench. */
export interface WorkbenchOptions {
  /** The values that a kernel reads; seeded numbers by default. */
  readonly inputsOf?: ((work: Work) => Promise<Inputs>) | undefined;
  /** A model whose call is timed and compared, too. */
  readonly model?: StepModel | undefined;
}

/** Values that a kernel reads, in the order of `readsOf`. */
export interface Inputs extends Disposable {
  readonly storages: readonly Storage[];
}

/** A model that is run with each version: see LoadedModel. */
export interface StepModel {
  readonly work: string;
  time(): Promise<number>;
  result(): Promise<Sample>;
}

/** Texts of all files of `shaders/`. */
type Texts = ReadonlyMap<string, string>;

/**
 * Kernels with their inputs in memory, whose shaders are changed while it is open: each change is compiled,
 * compared with the plain form and with the version before, and timed with the latter in turns. A version
 * that does not compile, or computes something wrongly, gives way to the one before.
 */
export class Workbench implements Disposable {
  readonly #device: Device;
  readonly #bays: Bay[] = [];
  readonly #model: StepModel | undefined;
  /** The model's result with the version that stands. */
  #stepResult: Sample | undefined;
  /** The version that stands, and the last that was tried and compiled. */
  #standing: Texts = textsWith(new Map());
  #tried: Texts = this.#standing;

  private constructor(device: Device, model: StepModel | undefined) {
    this.#device = device;
    this.#model = model;
  }

  /** Takes memory for kernels, and runs their plain forms. */
  static async open(
    device: Device,
    works: readonly Work[],
    { inputsOf, model }: WorkbenchOptions = {},
  ): Promise<Workbench> {
    const workbench = new Workbench(device, model);
    try {
      for (const work of works) workbench.#bays.push(await openBay(device, work, await inputsOf?.(work)));
      workbench.#stepResult = await model?.result();
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
   * Puts a folder's texts in front of ours; undefined where no text is another than before. Where one does
   * not compile it throws, and all that was before stays.
   */
  async change(folder: ReadonlyMap<string, string>): Promise<Change | undefined> {
    const texts = textsWith(folder);
    if (differing(this.#tried, texts).length === 0) return undefined;
    const files = differing(this.#standing, texts);
    const start = performance.now();
    const compiled = files.length && await this.#put(files, texts);
    const compileMs = performance.now() - start;
    this.#tried = texts;
    const checked: Checked[] = [];
    for (const bay of this.#bays) {
      if (files.some((path) => bay.files.has(path))) checked.push(await this.#check(bay));
    }
    const change = { files, compiled, compileMs };
    if (checked.some(({ wrong }) => wrong !== undefined)) {
      await this.#put(files, this.#standing);
      const rows = checked.map(({ bay, ...row }) => ({ ...row, work: bay.work, before: [], now: [] }));
      return { ...change, rows, stands: false };
    }
    const rows: Row[] = [];
    for (const one of checked) rows.push(await this.#timed(one, checked.length));
    const step = compiled ? await this.#step(files, texts) : undefined;
    const stands = step?.wrong === undefined;
    if (step) await this.#put(files, stands ? texts : this.#standing);
    if (stands) this.#accept(texts, checked);
    return { ...change, rows, step, stands };
  }

  #accept(texts: Texts, checked: readonly Checked[]): void {
    this.#standing = texts;
    for (const { bay, trial, result } of checked) bay.before = { trial, result };
  }

  /** Takes files from a version; resolves to the number of kernels that changed. */
  async #put(files: readonly string[], texts: Texts): Promise<number> {
    const own = (path: string) => SHADER_FILES.get(path)?.text;
    const changes = files.map((path) => {
      const text = texts.get(path);
      return [path, text === own(path) ? undefined : text] as const;
    });
    return await replaceShaders(this.#device, new Map(changes));
  }

  async #check(bay: Bay): Promise<Checked> {
    const { work: { problem, candidate }, plain, before } = bay;
    const trial = bay.trial.frozen();
    const result = await resultOf(this.#device, bay.bench, problem, trial);
    const found = mismatch(plain, result, toleranceOf(problem, candidate));
    return {
      bay,
      trial,
      result,
      fromPlain: difference(plain, result),
      fromBefore: difference(before.result, result),
      wrong: found && describeMismatch(problem, found),
    };
  }

  async #timed({ bay, trial, fromPlain, fromBefore }: Checked, rows: number): Promise<Row> {
    const { mostMs, flops: _, stepMs: _step, ...patience } = limitsOf(this.#device);
    const limits = { ...patience, mostMs: mostMs / rows };
    const [before, now] = await timeInTurns(this.#device, [bay.before.trial, trial], limits);
    return { work: bay.work, fromPlain, fromBefore, before: before!, now: now! };
  }

  /**
   * Runs the model's call with both versions in turns; the first run of each turn computes anew what stays
   * between calls.
   */
  async #step(files: readonly string[], texts: Texts): Promise<StepRow | undefined> {
    const [model, expected] = [this.#model, this.#stepResult];
    if (!model || !expected) return undefined;
    const got = await model.result();
    const fromBefore = difference(expected, got);
    const broken = mismatch(expected, got, Infinity); // rounding adds up: only what is no number is surely wrong
    const wrong = broken &&
      `element ${broken.element} of its result is ${broken.got}, before ${broken.expected}`;
    const times: [number[], number[]] = [[], []];
    const end = performance.now() + limitsOf(this.#device).stepMs;
    while (!wrong && (times[0].length < LEAST_STEPS || performance.now() < end)) {
      for (const [i, version] of [this.#standing, texts].entries()) {
        await this.#put(files, version);
        await model.time();
        times[i]!.push(await model.time());
      }
    }
    if (!wrong) this.#stepResult = got;
    return { work: model.work, fromBefore, wrong, before: times[0], now: times[1] };
  }

  [Symbol.dispose](): void {
    for (const { bench, inputs } of this.#bays.splice(0)) {
      bench[Symbol.dispose]();
      inputs?.[Symbol.dispose]();
    }
  }
}

async function openBay(device: Device, work: Work, inputs: Inputs | undefined): Promise<Bay> {
  const { problem, candidate } = work;
  using opening = new DisposableStack();
  opening.use(inputs);
  const bench = opening.use(await Bench.open(device, problem, inputs?.storages));
  const reference = problem.candidates.find((other) => other.plain) ?? candidate;
  const plain = await resultOf(device, bench, problem, await bench.ready(reference));
  const trial = await bench.ready(candidate);
  const before = { trial: trial.frozen(), result: await resultOf(device, bench, problem, trial) };
  opening.move();
  return { work, bench, inputs, files: filesOf(candidate), plain, trial, before };
}

/** Ours with a folder's in front of them. */
function textsWith(folder: ReadonlyMap<string, string>): Texts {
  return new Map([...[...SHADER_FILES].map(([path, { text }]) => [path, text] as const), ...folder]);
}

function differing(before: Texts, now: Texts): string[] {
  return [...new Set([...before.keys(), ...now.keys()])].filter((path) => before.get(path) !== now.get(path));
}

/** The largest difference of two results, in root mean squares of the first. */
function difference(one: Sample, other: Sample): number {
  const worst = mismatch(one, other, 0);
  return worst ? Math.abs(worst.got - worst.expected) / rootMeanSquare(one) : 0;
}
