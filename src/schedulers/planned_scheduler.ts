import { BrownianTreeNoiseSampler, randn, type RandomOptions } from "../random/mod.ts";
import { type Tensor, type Term, weightedSum } from "../tensor/mod.ts";
import type { Evaluation, Step } from "./k_diffusion/plan.ts";
import type { StepOptions, StepOutput } from "./step.ts";
import { SigmaScheduler, type SigmaSchedulerConfig } from "./sigma_scheduler.ts";

/** The steps of a loop, and what the next calls of the model need of those before. */
interface Plan {
  readonly evaluations: readonly Evaluation[];
  /** Calls of its step before each. */
  readonly stages: readonly number[];
  /** The first of each step. */
  readonly starts: readonly number[];
  /** Outputs that are kept. */
  readonly kept: number;
  /** The call that the loop begins with. */
  readonly begin: number;
}

/** A call of the model. */
export interface Call {
  /** σ of the sample that it gets. */
  readonly sigma: number;
  /** The step that it is of, counted from 0. */
  readonly step: number;
  /** Calls of that step before it. */
  readonly stage: number;
}

/** The noise of the steps. */
export interface StepNoise {
  /** New at each step, or increments of one Brownian motion over σ, from one σ to another. */
  readonly kind: "new" | "brownian";
  /** Seed of that motion instead of the generator's. */
  readonly seed?: number | null | undefined;
}

/**
 * A scheduler over σ whose steps are known before the loop: which σ the model is called at, and the weighted sums of
 * samples, outputs and noise between the calls.
 */
export abstract class PlannedScheduler<Config extends SigmaSchedulerConfig> extends SigmaScheduler<Config> {
  #levels: readonly number[] = [];
  #plan: Plan = planOf([], 0);
  #brownian: BrownianTreeNoiseSampler | undefined;

  /** The steps, of one model call or more each. */
  override get stepCount(): number {
    void this.timesteps; // throws where there are none yet
    return this.#plan.starts.length;
  }

  /**
   * Index of the timestep at which a step begins, counted from 0.
   * @internal
   */
  override indexOfStep(step: number): number {
    return this.#plan.starts[step]!;
  }

  /** Tells where among the timesteps a loop begins; it must be the first call of a step. */
  override setBeginIndex(index: number): void {
    super.setBeginIndex(index);
    this.#beginAt(index);
  }

  /**
   * Plans the steps from these σ to the next, of which the last is where the last step ends. `shown` gives the timestep of a
   * call of the model, and the σ that addNoise() takes there.
   */
  protected visitLevels(
    sigmas: readonly number[],
    shown: (call: Call) => { timestep: number; sigma: number },
  ): void {
    this.#levels = sigmas.map(Math.fround);
    this.#beginAt(0);
    const { evaluations, stages, starts } = this.#plan;
    const calls = evaluations.map(({ sigma }, i) =>
      shown({ sigma: Math.fround(sigma), step: starts.indexOf(i - stages[i]!), stage: stages[i]! })
    );
    const end = this.#levels[this.#levels.length - 1]!;
    this.visit(calls.map(({ timestep }) => timestep), [...calls.map(({ sigma }) => sigma), end]);
  }

  /** σ of the sample that the model gets. */
  protected override sigmaAt(index: number): number {
    return Math.fround(this.#plan.evaluations[index]!.sigma);
  }

  /** Index of a timestep: of equal ones that of the call that is due, else of one that begins a step. */
  protected override indexForTimestep(t: number): number {
    const index = super.indexForTimestep(t);
    if (!this.isFirstStep || this.#plan.stages[index] === 0) return index;
    return this.#plan.starts.find((start) => this.timesteps[start] === t) ?? index;
  }

  /** The steps over such σ of a loop that begins with one of them. */
  protected abstract stepsOf(sigmas: readonly number[], begin: number): Step[];

  /** Terms of the sums: x̂_0, or dx/dσ = (x − x̂_0) / σ. */
  protected abstract get terms(): "denoised" | "derivative";

  /** The noise of the steps. */
  protected abstract get noise(): StepNoise;

  /** The sample for the next call of the model, from what it gave at the last; `sNoise` scales new noise. */
  protected sumStep(
    modelOutput: Tensor,
    t: number,
    sample: Tensor,
    { generator }: StepOptions,
    sNoise = 1,
  ): StepOutput {
    const index = this.enter(t);
    if (this.isFirstStep) this.#beginAt(index);
    const { begin, kept, stages, evaluations } = this.#plan;
    const [evaluation, stage] = [evaluations[index]!, stages[index]!];
    const { remembered } = this;
    const count = Math.min(index - begin, kept);
    const start = stage === 0 ? sample : remembered[count]!;

    const sigma = this.sigmaAt(index);
    const x0 = this.predictOriginal(modelOutput, sigma, sample);
    const output = this.terms === "denoised" ? x0 : sample.sub(x0).div(sigma);
    const outputs = [output, ...remembered.slice(0, count)];
    const noises = [
      ...evaluation.noises ? [this.#draw(sample, evaluation, generator)] : [],
      ...stage === 0 ? [] : remembered.slice(count + 1),
    ];
    const terms: Term[] = evaluation.sample === 0 ? [] : [[evaluation.sample, start]];
    evaluation.outputs.forEach((weight, i) => weight !== 0 && terms.push([weight, outputs[i]!]));
    evaluation.noises?.forEach((weight, i) => terms.push([weight * sNoise, noises[i]!]));
    const prevSample = terms.length === 1 && terms[0]![0] === 1 ? terms[0]![1] : weightedSum(...terms);

    const goesOn = stages[index + 1] !== 0;
    this.advance([...outputs.slice(0, kept), ...goesOn ? [start, ...noises] : []]);
    return { prevSample, predOriginalSample: x0 };
  }

  #draw({ shape }: Tensor, { between }: Evaluation, generator: RandomOptions["generator"]): Tensor {
    const { kind, seed } = this.noise;
    if (kind === "new") return randn(shape, { generator });
    const { begin, starts } = this.#plan;
    const levels = this.#levels.slice(starts.indexOf(begin)).filter((sigma) => sigma > 0);
    const [sigmaMin, sigmaMax] = [Math.min(...levels), Math.max(...levels)];
    this.#brownian ??= new BrownianTreeNoiseSampler({ shape, sigmaMin, sigmaMax, seed: seed ?? generator });
    return this.#brownian.noise(...between!);
  }

  #beginAt(index: number): void {
    const full = planOf(this.stepsOf(this.#levels, 0), index);
    const stage = full.stages[index] ?? 0;
    if (stage > 0) {
      throw new RangeError(
        `Cannot begin at index ${index}: expected the first model call of a step, got number ${stage + 1}`,
      );
    }
    this.#brownian = undefined;
    this.#plan = index === 0 ? full : planOf(this.stepsOf(this.#levels, full.starts.indexOf(index)), index);
  }
}

function planOf(steps: readonly Step[], begin: number): Plan {
  const evaluations = steps.flat();
  const stages = steps.flatMap((step) => step.map((_, stage) => stage));
  return {
    evaluations,
    stages,
    starts: [...stages.keys()].filter((i) => stages[i] === 0),
    kept: Math.max(0, ...evaluations.map(({ outputs }) => outputs.length - 1)),
    begin,
  };
}
