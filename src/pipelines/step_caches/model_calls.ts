import { cat, type Tensor } from "../../tensor/mod.ts";
import type { CachedModel, Predicting, StepCache } from "./step_cache.ts";

/** One call of a model at a step. */
export interface ModelCall<Args extends readonly unknown[]> {
  /** The rows of the step's input that it is for. */
  readonly x: Tensor;
  /** The arguments of the model's `forward`. */
  readonly args: () => Args;
  /** The same as far as the first block reads them, where the others cost more. */
  readonly frontArgs?: (() => Args) | undefined;
  /** Takes the prediction for x out of the model's result, where that is more. */
  readonly cut?: ((sample: Tensor) => Tensor) | undefined;
}

/** A cache for a run of so many steps. */
export interface Caching {
  readonly cache: StepCache;
  readonly steps: number;
}

/** The cache of a loop, where its options ask for one. */
export function cachingOf(cache: StepCache | undefined, timesteps: readonly number[]): Caching | undefined {
  return cache && { cache, steps: timesteps.length };
}

/** A model as a loop calls it: once a step, or several times, whose rows are joined; under a step cache where there is one. */
export class ModelCalls<Args extends readonly unknown[]> implements Disposable {
  readonly #model: Predicting<Args>;
  readonly #callsOf: (input: Tensor, t: number, step: number) => readonly ModelCall<Args>[];
  readonly #caching: Caching | undefined;
  /** One for each call of a step. */
  readonly #cached: CachedModel<Args>[] = [];

  /** `callsOf` gives as many calls at each step. */
  constructor(
    model: Predicting<Args>,
    callsOf: (input: Tensor, t: number, step: number) => readonly ModelCall<Args>[],
    caching?: Caching,
  ) {
    [this.#model, this.#callsOf, this.#caching] = [model, callsOf, caching];
  }

  /** True if `ahead` is to be awaited before each `predict`. */
  get isCached(): boolean {
    return this.#caching !== undefined;
  }

  /** Lets the cache decide whether the model runs at a step. It records at once, then waits for a number. */
  async ahead(input: Tensor, t: number, step: number): Promise<void> {
    const cached = this.#callsOf(input, t, step).map(({ x, args, frontArgs = args }, i) => {
      const one = this.#cachedAt(i);
      one.look(x, frontArgs);
      return one;
    });
    await Promise.all(cached.map((one) => one.decide()));
  }

  /** The prediction for latents at timestep `t`, that of the step of this number. */
  predict(input: Tensor, t: number, step: number): Tensor {
    return this.#joined(input, t, step, ({ x, args, cut }, i) => {
      if (this.#caching) return this.#cachedAt(i).predict(x, args, cut);
      const { sample } = this.#model.forward(...args());
      return cut?.(sample) ?? sample;
    });
  }

  /** The same for `Model.measure` and `reserve`: with all calls that a cache may make. */
  rehearse(input: Tensor, t: number, step: number): Tensor {
    if (!this.#caching) return this.predict(input, t, step);
    return this.#joined(input, t, step, ({ x, args, cut }, i) => this.#cachedAt(i).rehearse(x, args, cut));
  }

  #joined(
    input: Tensor,
    t: number,
    step: number,
    sampleOf: (call: ModelCall<Args>, i: number) => Tensor,
  ): Tensor {
    const samples = this.#callsOf(input, t, step).map(sampleOf);
    return samples.length === 1 ? samples[0]! : cat(samples);
  }

  #cachedAt(i: number): CachedModel<Args> {
    const { cache, steps } = this.#caching!;
    return this.#cached[i] ??= cache.begin(this.#model, steps);
  }

  /** Gives the memory of the cache back. */
  [Symbol.dispose](): void {
    for (const one of this.#cached) one[Symbol.dispose]();
  }
}
