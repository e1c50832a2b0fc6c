import type { HostArray, PlainDType } from "../core/dtype.ts";
import { type Shape, size } from "../core/shape.ts";
import { DeviceLostError } from "../gpu/errors.ts";
import type { RandomOptions, TorchGenerator } from "../random/mod.ts";
import { randomSeed } from "../random/manual_seed.ts";
import type { Scheduler, SchedulerState } from "../schedulers/mod.ts";
import { free, release, retain, Tensor, tensor } from "../tensor/mod.ts";
import { modelsOf } from "./memory/acquire.ts";

const TRIES = 3; // losses at one step after which it is not tried again

/** A tensor on the host. */
interface Copy {
  readonly shape: Shape;
  readonly dtype: PlainDType;
  readonly data: HostArray;
}

/** State by which a run continues after a step. */
interface Saved {
  readonly done: number;
  readonly sample: Tensor;
  readonly scheduler: SchedulerState;
  readonly generators: readonly TorchGenerator[];
}

/** A generator that can be put back to where it was. */
class Rewound implements TorchGenerator {
  /** Goes on from where `from` is. */
  constructor(public from: TorchGenerator) {}

  get seed() {
    return this.from.seed;
  }
  randn: TorchGenerator["randn"] = (count, dtype) => this.from.randn(count, dtype);
  firstNoise = (shape: Shape): Float32Array => this.from.firstNoise?.(shape) ?? this.from.randn(size(shape));
  rand: TorchGenerator["rand"] = (count, dtype) => this.from.rand(count, dtype);
  randint: TorchGenerator["randint"] = (low, high, count) => this.from.randint(low, high, count);
  randperm: TorchGenerator["randperm"] = (n) => this.from.randperm(n);
  clone: TorchGenerator["clone"] = () => this.from.clone();
  withSeed: TorchGenerator["withSeed"] = (seed) => this.from.withSeed(seed);
}

/** Copies on the host by which a run continues after its last step when the device was lost. */
export class Recovery {
  /** The generator that the run is to draw from. */
  readonly generator: NonNullable<RandomOptions["generator"]>;
  readonly #generators: readonly Rewound[];
  readonly #begin: readonly TorchGenerator[];
  #last: { done: number; restore: () => Saved } | undefined;

  /** For a run that draws from such a generator. */
  constructor(generator: RandomOptions["generator"] = randomSeed()) {
    this.#generators = [generator].flat().map((from) => new Rewound(from as TorchGenerator));
    this.#begin = this.#generators.map((from) => from.clone());
    this.generator = Array.isArray(generator) ? this.#generators : this.#generators[0]!;
  }

  /** Steps that are done and kept. */
  get done(): number {
    return this.#last?.done ?? 0;
  }

  /** Puts the generators back to where the run began. */
  rewind(): void {
    this.#generators.forEach((generator, i) => generator.from = this.#begin[i]!.clone());
  }

  /** Reads the state after a step, while the next steps run. */
  keep(done: number, sample: Tensor, scheduler: Scheduler): void {
    const state = scheduler.snapshot();
    const tensors = [sample, ...tensorsOf(state)].map(retain);
    const generators = this.#generators.map((generator) => generator.clone());
    Promise.all(tensors.map(copyOf)).then((copies) => {
      if (done <= this.done) return;
      const restore = () => {
        const [again, ...others] = copies.map(sent) as [Tensor, ...Tensor[]];
        const rest = others.values();
        return { done, sample: again, scheduler: withTensors(state, rest), generators };
      };
      this.#last = { done, restore };
    }).catch(() => {}) // the await of the step reports it
      .finally(() => tensors.forEach(release));
  }

  /** Restores the scheduler and generators as after the last step that was kept; undefined where there is none. */
  resume(scheduler: Scheduler): { done: number; sample: Tensor } | undefined {
    const saved = this.#last?.restore();
    if (!saved) return undefined;
    scheduler.restore(saved.scheduler);
    this.#generators.forEach((generator, i) => generator.from = saved.generators[i]!.clone());
    return saved;
  }
}

/**
 * Does a run that continues from its last step if the device is lost: another device is requested, the models are
 * loaded into its memory, and everything before the loop is computed again.
 */
export async function recovering<Options extends RandomOptions & { preview?: object | undefined }, T>(
  parts: { scheduler: Scheduler },
  options: Options,
  run: (options: Options & { recovery: Recovery }) => Promise<T>,
): Promise<T> {
  const { onNotice = console.warn } = options as { onNotice?: (line: string) => void };
  const models = [...modelsOf(parts), ...modelsOf(options.preview ?? {})];
  const baked = models.flatMap(({ adapters }) => adapters.baked);
  if (baked.length) {
    throw new Error(
      `Cannot recover with the LoRA "${baked[0]}": it was baked; draw without the option recover`,
    );
  }
  const given = Object.entries(options).filter(([, value]) => tensorsIn(value).length > 0);
  const copies = await Promise.all(
    given.map(async ([key, value]) => [key, await Promise.all(tensorsIn(value).map(copyOf))] as const),
  );
  let ours: Tensor[] = []; // what was sent again, for the last try
  const sentAgain = () => {
    const all = copies.map(([key, own]) => [key, own.map(sent)] as const);
    ours = all.flatMap(([, tensors]) => tensors);
    return Object.fromEntries(
      all.map(([key, tensors], i) => [key, Array.isArray(given[i]![1]) ? tensors : tensors[0]]),
    );
  };
  const recovery = new Recovery(options.generator);
  let again = { ...options, generator: recovery.generator, recovery };
  for (let tries = 1;; tries++) {
    const { done } = recovery;
    try {
      return await run(again).finally(() => free(...ours));
    } catch (error) {
      if (recovery.done > done) tries = 1;
      if (!(error instanceof DeviceLostError) || tries === TRIES) throw error;
      await models[0]!.device.reopen();
      onNotice(`${error.message.split(";")[0]}; a new one goes on behind step ${recovery.done}`);
      for (const model of models) model.unload();
      recovery.rewind();
      again = { ...again, ...sentAgain() };
    }
  }
}

/** The tensors of an option: one, or those of a list. */
function tensorsIn(value: unknown): Tensor[] {
  return [value].flat().filter((one) => one instanceof Tensor);
}

async function copyOf(x: Tensor): Promise<Copy> {
  return { shape: x.shape, dtype: x.dtype as PlainDType, data: await x.data() };
}

function sent({ data, shape, dtype }: Copy): Tensor {
  return tensor(data, shape, { dtype });
}

function tensorsOf({ tensors, inner }: SchedulerState): Tensor[] {
  return [...tensors, ...inner ? tensorsOf(inner) : []];
}

/** The same state with other tensors in place of its own. */
function withTensors(state: SchedulerState, others: Iterator<Tensor>): SchedulerState {
  const tensors = state.tensors.map(() => others.next().value as Tensor);
  return { ...state, tensors, inner: state.inner && withTensors(state.inner, others) };
}
