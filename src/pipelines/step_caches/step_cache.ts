import { sameNumbers } from "../../core/shape.ts";
import type { BlockParts, Model } from "../../models/mod.ts";
import { release, retain, scope, type Tensor } from "../../tensor/mod.ts";

/** A model that predicts noise or velocity of its first argument. */
export interface Predicting<Args extends readonly unknown[]> extends Model {
  /** The prediction for its first argument. */
  forward(...args: Args): { sample: Tensor };
  /** Transformers have it. */
  blockParts?(...args: Args): BlockParts;
}

/** A kind of step cache with its options: the `cache` of a pipeline's run, or of a loop by `begin()`. */
export interface StepCache {
  /**
   * Begins a run of so many steps with a model. Each call that a step makes, such as one for either half of guidance, has
   * a cached model of its own.
   */
  begin<Args extends readonly unknown[]>(model: Predicting<Args>, steps: number): CachedModel<Args>;
}

/** A call of a model at one step, in whatever parts a cache needs. */
export interface CachedCall {
  /** The input that is predicted for, in the prediction's shape. */
  readonly x: Tensor;
  /** The call in parts; throws where the model has none. */
  parts(): BlockParts;
  /** The prediction by the whole model. */
  run(): Tensor;
  /** The prediction of the model's result, which may have more rows. */
  cut(sample: Tensor): Tensor;
}

/** A kind of cache in one run: it looks at the input, says whether the model is to run, and predicts. */
export interface CacheState {
  /** Records the number [1] by which `computes` decides; undefined where the model runs anyway. */
  look(call: CachedCall): Tensor | undefined;
  /** True if the model is to run, by the number that `look` recorded. */
  computes(value: number): boolean;
  /** The prediction by the model. */
  compute(call: CachedCall): Tensor;
  /** The prediction without it. */
  reuse(call: CachedCall): Tensor;
  /** Makes all calls of the model that steps may make, for their memory. → a prediction, and bytes kept between steps */
  rehearse(call: CachedCall): { sample: Tensor; kept: number };
  /** Forgets the steps before. */
  forget(): void;
}

/** A model under a step cache, for one run. */
export class CachedModel<Args extends readonly unknown[]> implements Disposable {
  readonly #model: Predicting<Args>;
  readonly #state: CacheState;
  #shape: readonly number[] = [];
  #number: Tensor | undefined;
  #computes = true;
  /** Steps at which the model ran. */
  computed = 0;
  /** Steps at which it did not. */
  reused = 0;

  /** For `StepCache.begin`. */
  constructor(model: Predicting<Args>, state: CacheState) {
    [this.#model, this.#state] = [model, state];
  }

  /**
   * The model's `forward` where it has to run, else a prediction made of the steps before. It reads one number of four
   * bytes back, for which it waits.
   */
  async forward(...args: Args): Promise<{ sample: Tensor }> {
    const x = args[0] as Tensor;
    this.look(x, () => args);
    await this.decide();
    return { sample: this.predict(x, () => args) };
  }

  /** Records the number by which `decide` decides, of the input at a step and the arguments of the model's `forward`. */
  look(x: Tensor, args: () => Args): void {
    using made = scope();
    if (!sameNumbers(this.#shape, x.shape)) this.#state.forget(); // it belongs to another picture
    this.#shape = [...x.shape];
    const number = this.#state.look(this.#call(x, args));
    this.#number = number && retain(made.keep(number));
  }

  /** Reads the number, and decides whether the model is to run. → true if it is */
  async decide(): Promise<boolean> {
    const number = this.#number;
    this.#number = undefined;
    this.#computes = number === undefined || this.#state.computes(await number.item());
    if (number) release(number);
    return this.#computes;
  }

  /** The prediction for the input that was looked at; `cut` takes it out of the model's result, where that is more. */
  predict(x: Tensor, args: () => Args, cut?: (sample: Tensor) => Tensor): Tensor {
    using made = scope();
    const call = this.#call(x, args, cut);
    this.#computes ? this.computed++ : this.reused++;
    return made.keep(this.#computes ? this.#state.compute(call) : this.#state.reuse(call));
  }

  /** A prediction for which all calls are made that steps may make: for `Model.measure` and `reserve`. */
  rehearse(x: Tensor, args: () => Args, cut?: (sample: Tensor) => Tensor): Tensor {
    const { sample, kept } = this.#state.rehearse(this.#call(x, args, cut));
    this.#model.countBeside(kept);
    return sample;
  }

  #call(x: Tensor, args: () => Args, cut = (sample: Tensor) => sample): CachedCall {
    const model = this.#model;
    return {
      x,
      cut,
      run: () => cut(model.forward(...args()).sample),
      parts() {
        if (model.blockParts) return model.blockParts(...args());
        throw new TypeError(
          `Cannot cache blocks of ${model.constructor.name}: expected a transformer; easyCache() takes any model`,
        );
      },
    };
  }

  /** Gives the memory of what it keeps back. */
  [Symbol.dispose](): void {
    if (this.#number) release(this.#number);
    this.#number = undefined;
    this.#state.forget();
  }
}

/** Tensors that are kept from one step to the next, by their names. */
export class Kept<Name extends string> {
  readonly #tensors = new Map<Name, Tensor>();

  /** The tensor that was put there. */
  get(name: Name): Tensor | undefined {
    return this.#tensors.get(name);
  }

  /** Keeps a tensor in place of the one before. */
  put(name: Name, tensor: Tensor): void {
    const before = this.#tensors.get(name);
    this.#tensors.set(name, retain(tensor));
    if (before) release(before);
  }

  /** Keeps none of these, or none at all. */
  drop(...names: Name[]): void {
    for (const name of names.length > 0 ? names : [...this.#tensors.keys()]) {
      const tensor = this.#tensors.get(name);
      this.#tensors.delete(name);
      if (tensor) release(tensor);
    }
  }
}

/** Distance of two tensors, relative to the second: mean |x − y| / mean |y|. → [1] */
export function relativeChange(x: Tensor, y: Tensor): Tensor {
  return x.sub(y).abs().mean().div(y.abs().mean()).reshape([1]);
}
