import type { z } from "zod";
import { expectOptions } from "../core/error.ts";
import type { Inspect } from "../core/shown.ts";
import { release, retain, type Tensor } from "../tensor/mod.ts";
import {
  completeConfig,
  givenKeys,
  markDefaults,
  readSchedulerConfig,
  type SchedulerSource,
} from "./config.ts";
import { expectOutput } from "./model_output.ts";
import { addWeighted, type NoiseWeights, type StepOptions, type StepOutput } from "./step.ts";
import type { Schedule } from "./timesteps.ts";

/** The state of a loop between two steps. */
export interface SchedulerState {
  /** Index of the first step, as set or as done; undefined before. */
  readonly begin: number | undefined;
  /** Index of the step that is due; undefined before the first. */
  readonly next: number | undefined;
  /** Tensors that the next steps need of those before. */
  readonly tensors: readonly Tensor[];
  /** State of the scheduler within, as UniPC's solver_p. */
  readonly inner?: SchedulerState | undefined;
}

/**
 * The base of all schedulers: a config, the timesteps to visit, and a step from one to the next.
 *
 * A class has setTimesteps(), which ends in visit(); step(), which begins with expectStep() and enter() and ends
 * with advance(); and noiseWeights(), from which addNoise() follows.
 */
export abstract class Scheduler<Config extends object = object> {
  /** The complete config, with diffusers' keys. Keys that the class does not know are kept. */
  readonly config: Config;
  /**
   * A pipeline's run steps through it: a second run at the same time takes a copy.
   * @internal
   */
  isRunning = false;
  #timesteps: number[] | undefined;
  #sigmas: number[] = [];
  #begin: number | undefined;
  #next: number | undefined;
  #due = 0;
  #remembered: readonly Tensor[] = [];

  /** Checks and completes the config. */
  protected constructor(schema: z.ZodType<Config>, config: object) {
    const given = givenKeys(config);
    this.config = markDefaults(completeConfig(schema, given, new.target.name), given);
  }

  /**
   * Reads scheduler_config.json from a local folder or a Hugging Face repository;
   * a single file's is its family's.
   */
  static async fromPretrained<Config, S>(
    this: new (config: Config) => S,
    pathOrRepo: string,
    source: SchedulerSource = {},
  ): Promise<S> {
    return new this(await readSchedulerConfig(pathOrRepo, source) as Config);
  }

  /**
   * A scheduler with the config of another, perhaps of another class. What was merely a default of that class
   * is not carried over, as in diffusers; `overrides` always count.
   */
  static fromConfig<Config, S>(
    this: new (config: Config) => S,
    config: object,
    overrides: Record<string, unknown> = {},
  ): S {
    if (Object.keys(overrides).length > 0) {
      const { config: known } = new this({} as Config) as { config: object };
      expectOptions(`make a ${this.name}`, overrides, Object.keys(known));
    }
    return new this({ ...givenKeys(config), ...overrides } as Config);
  }

  /** A scheduler of the same class and config that has no timesteps yet. */
  clone(): this {
    const Class = this.constructor as new (config: Config) => this;
    return new Class(this.config);
  }

  /** Text for Deno's console and REPL: the config, without the tables made of it. */
  [Symbol.for("Deno.customInspect")](inspect: Inspect, options: object): string {
    return `${this.constructor.name} ${inspect(Object.fromEntries(Object.entries(this.config)), options)}`;
  }

  /** Model calls that one step of the method takes. */
  get order(): number {
    return 1;
  }

  /** Standard deviation of the noise to begin with. */
  get initNoiseSigma(): number {
    return 1;
  }

  /** The timesteps to visit, the noisiest first. */
  get timesteps(): number[] {
    if (this.#timesteps) return this.#timesteps;
    throw new Error(
      `Cannot use ${this.constructor.name}: expected timesteps, got none; call setTimesteps(steps) first`,
    );
  }

  /** Chooses how many timesteps to visit, or which. Forgets the steps done so far. */
  abstract setTimesteps(steps: number | Schedule): void;

  /** Tells where among the timesteps a loop begins that does not visit all. Forgets the steps done so far. */
  setBeginIndex(index: number): void {
    const { timesteps } = this;
    if (!Number.isInteger(index) || index < 0 || index >= timesteps.length) {
      throw new RangeError(
        `Cannot begin at index ${index}: expected a whole number from 0 to ${timesteps.length - 1}`,
      );
    }
    this.#beginAt(index);
  }

  /**
   * The timesteps that are left where an image is changed instead of made from noise: all at strength 1, few
   * near 0. Add noise as at the first of them; the steps begin there.
   */
  sliceByStrength(strength: number): number[] {
    if (!(strength > 0 && strength <= 1)) {
      throw new RangeError(`Cannot slice by strength: expected more than 0 and at most 1, got ${strength}`);
    }
    const steps = this.stepCount;
    const left = Math.floor(steps * strength);
    if (left === 0) {
      throw new RangeError(
        `Cannot slice by strength ${strength}: none of ${steps} steps is left; set more steps or more strength`,
      );
    }
    const start = this.indexOfStep(steps - left);
    this.setBeginIndex(start);
    return this.timesteps.slice(start);
  }

  /**
   * Index of the timestep at which a step begins, counted from 0.
   * @internal
   */
  indexOfStep(step: number): number {
    return step * this.order;
  }

  /** The sample as the model wants it at timestep t. */
  scaleModelInput(sample: Tensor, _t: number): Tensor {
    return sample;
  }

  /** One step back, from x_t to x_{t−1}. */
  abstract step(modelOutput: Tensor, t: number, sample: Tensor, options?: StepOptions): StepOutput;

  /** The images with noise as at a timestep, or at one timestep for each image: where img2img begins. */
  addNoise(original: Tensor, noise: Tensor, timesteps: number | readonly number[]): Tensor {
    return addWeighted(original, noise, [timesteps].flat().map((t) => this.noiseWeights(t)));
  }

  /**
   * The state of the loop, to go on from there on another device.
   * @internal
   */
  snapshot(): SchedulerState {
    return { begin: this.#begin, next: this.#next, tensors: this.#remembered };
  }

  /**
   * Goes on from a snapshot with the same timesteps.
   * @internal
   */
  restore({ begin, next, tensors }: SchedulerState): void {
    this.#begin = begin;
    this.#next = next;
    this.#remember(tensors);
  }

  /** Weights of image and noise in a sample at timestep t: x = image · x_0 + noise · ε. */
  protected abstract noiseWeights(t: number): NoiseWeights;

  /** Sets the timesteps, and σ at each and where the last step ends. Forgets the steps done so far. */
  protected visit(timesteps: number[], sigmas: number[] = []): void {
    this.#timesteps = timesteps;
    this.#sigmas = sigmas;
    this.#beginAt(undefined);
  }

  /** The sigmas that visit() set, which a scheduler over σ shows as `sigmas`. */
  protected get visitedSigmas(): number[] {
    void this.timesteps; // throws where there are none yet
    return this.#sigmas;
  }

  /**
   * Steps that the user asked for; a method of order 2 visits nearly twice as many timesteps.
   * @internal
   */
  get stepCount(): number {
    return Math.ceil(this.timesteps.length / this.order);
  }

  /** Index of the timestep that the loop began at, or that setBeginIndex() set for it; undefined before. */
  protected get beginIndex(): number | undefined {
    return this.#begin;
  }

  /** Throws where the arguments of a step do not fit together; `known` are options besides the generator. */
  protected expectStep(
    modelOutput: Tensor,
    sample: Tensor,
    options: StepOptions,
    known: readonly string[] = [],
  ): void {
    expectOptions("step", options, ["generator", ...known]);
    expectOutput(modelOutput, sample, "variance_type" in this.config);
  }

  /** Index of the step that is due, for methods that go by it or remember steps: t must be its timestep. */
  protected enter(t: number): number {
    const { timesteps } = this;
    const index = this.#due = this.#next ?? this.#begin ?? this.#firstIndex(t);
    if (timesteps[index] === t) return index;
    const again = "; call setTimesteps(steps) to begin again";
    if (index >= timesteps.length) {
      throw new Error(`Cannot step at timestep ${t}: all ${timesteps.length} steps are done${again}`);
    }
    if (index > 0 && timesteps[index - 1] === t) {
      throw new Error(`Cannot step at timestep ${t} twice: the next is ${timesteps[index]}${again}`);
    }
    throw new RangeError(`Cannot step at timestep ${t}: expected ${timesteps[index]}, the next one${again}`);
  }

  /** Ends the step that enter() began, and keeps what the next one needs. */
  protected advance(remembered: readonly Tensor[] = []): void {
    this.#begin ??= this.#due;
    this.#next = this.#due + 1;
    this.#remember(this.#next < this.timesteps.length ? remembered : []);
  }

  /** True until the first step of a loop has ended. */
  protected get isFirstStep(): boolean {
    return this.#next === undefined;
  }

  /** The tensors that the step before gave to advance(). */
  protected get remembered(): readonly Tensor[] {
    return this.#remembered;
  }

  /** True at the second of a step's two model calls, which must follow the first. */
  protected isSecondHalf(index: number): boolean {
    const begun = this.#remembered.length > 0;
    if (begun === (index % 2 === 1)) return begun;
    throw new RangeError(
      `Cannot step at timestep ${
        this.timesteps[index]
      }: a step of two model calls cannot begin at its second`,
    );
  }

  /** Index of a timestep. Of equal ones it is the one that is due, else the second, as in diffusers. */
  protected indexForTimestep(t: number): number {
    const first = this.indexOf(t);
    const due = this.#next ?? this.#begin;
    if (due !== undefined && this.timesteps[due] === t) return due;
    const second = this.timesteps.indexOf(t, first + 1);
    return second < 0 ? first : second;
  }

  /** Position of t among the timesteps. */
  protected indexOf(t: number): number {
    const index = this.timesteps.indexOf(t);
    if (index >= 0) return index;
    throw new RangeError(
      `Cannot step at timestep ${t}: expected one of ${this.timesteps.length} from ${this.timesteps[0]} to ` +
        `${this.timesteps.at(-1)}; pass an entry of timesteps`,
    );
  }

  /** A loop may begin in the middle without setBeginIndex(). */
  #firstIndex(t: number): number {
    return this.indexOf(t) === 0 ? 0 : this.indexForTimestep(t);
  }

  #beginAt(index: number | undefined): void {
    this.#begin = index;
    this.#next = undefined;
    this.#remember([]);
  }

  /** Keeps these tensors from the scopes of a loop until others take their place. */
  #remember(tensors: readonly Tensor[]): void {
    const before = this.#remembered;
    this.#remembered = tensors.map(retain);
    for (const tensor of before) release(tensor);
  }
}
