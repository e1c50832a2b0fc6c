import { currentDevice } from "../gpu/device.ts";
import { OutOfMemoryError } from "../gpu/errors.ts";
import { memoryOf } from "../gpu/memory.ts";
import { Model } from "../models/mod.ts";
import { BESIDES } from "./storage.ts";

/** The parts of a pipeline, models among them. */
export interface Residents {
  /** Bytes of GPU memory that models may take together; without it they stay as long as the GPU takes them. */
  memory?: number | undefined;
}

const AMPLE = 4; // times as much memory as is usually taken: then nothing needs measuring
const SHARE = 0.9; // of an adapter's memory: others use it too

/** The bytes that models may take: as the options say, else most of what the adapter is known to have. */
export async function memoryBudget({ memory }: Residents): Promise<number | undefined> {
  if (memory !== undefined) {
    if (memory > 0) return memory;
    throw new RangeError(`Cannot work in ${memory} bytes of GPU memory: expected a number above 0`);
  }
  const known = await memoryOf(currentDevice());
  return known && Math.floor(known * SHARE);
}

/** How models are brought in. */
export interface BringInOptions {
  /** Ends the loading. */
  signal?: AbortSignal | undefined;
  /** What the first of them is about to do, from which follows what room it needs; nothing of it runs. */
  work?: (() => unknown) | undefined;
  /** The entry point that the first is to run: where there is no room for all its weights, only those come. */
  only?: string | undefined;
}

/**
 * Brings models into memory for a piece of work, such as embedding texts, the loop or decoding. All that are in memory
 * already stay there while there is room; where there is none, those of the parts that are not needed now leave first.
 */
export async function bringIn(
  parts: Residents,
  needed: readonly (Model | undefined)[],
  options: BringInOptions = {},
): Promise<void> {
  const { memory = Infinity } = parts;
  const { signal } = options;
  const wanted = needed.filter((model) => model !== undefined);
  const idle = modelsOf(parts).filter((model) => model.loaded && !wanted.includes(model));
  const [first] = wanted as [Model<unknown>];
  const total = () => [...wanted, ...idle].reduce((sum, model) => sum + sizeOf(model), 0);
  if (options.work && total() * AMPLE > memory) first.measure(options.work);
  let taken = total();
  for (const model of idle) {
    if (taken <= memory) break;
    model.unload();
    taken -= sizeOf(model);
  }
  const load = async () => {
    const only = tooLarge.has(first) || sizeOf(first) + BESIDES > memory ? options.only : undefined;
    for (const model of wanted) await model.load({ only: model === first ? only : undefined, signal });
  };
  try {
    await load();
  } catch (error) {
    if (!(error instanceof OutOfMemoryError)) throw error;
    for (const model of idle) model.unload();
    if (options.only) tooLarge.add(first);
    await first.device.idle().catch(() => {}); // commands on what was not allocated fail too, later
    await load();
  }
}

/** What the GPU turned out to be too small for, in memory that is not known. */
const tooLarge = new WeakSet<Model>();

/** The models among the parts of a pipeline. */
export function modelsOf(parts: object): Model[] {
  return Object.values(parts).filter((part) => part instanceof Model);
}

/** Weights, and the activations of the largest call so far. */
function sizeOf(model: Model): number {
  return model.bytes + model.workspace;
}
