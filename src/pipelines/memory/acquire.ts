import { currentDevice, type Device } from "../../gpu/device.ts";
import { OutOfMemoryError } from "../../gpu/errors.ts";
import { memoryOf } from "../../gpu/memory/adapter_memory.ts";
import { streamOf } from "../../graph/run/stream.ts";
import { Model } from "../../models/mod.ts";
import { footprintsOf, forceStream, roomsBeside, SMALL_BUFFERS, storeToFit } from "./weight_modes.ts";

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

/** Options of acquiring models. */
export interface AcquireOptions {
  /** Ends the loading. */
  signal?: AbortSignal | undefined;
  /** The first model's later calls, which tell the memory that it needs; none of them runs here. */
  work?: (() => unknown) | undefined;
  /** The entry point that the first is to run: where there is no room for all its weights, only those of it are loaded. */
  only?: string | undefined;
  /** Makes `work` do the same in less memory; false where it cannot. Called where the GPU has no room for it. */
  smaller?: (() => boolean) | undefined;
  /** Told in one line what was done where the GPU had no memory left; console.warn by default. */
  onNotice?: ((line: string) => void) | undefined;
}

/**
 * Acquires models for a piece of work, such as embedding texts, the loop or decoding, with room for it; they
 * stay until what is returned is disposed. All that are in memory already stay there while there is room; where there
 * is none, those of the parts that nobody needs now leave first. Where the GPU turns out to have less memory than is
 * known, what gives the same picture in less of it is tried: one model at a time, in parts, in smaller work, from the
 * disk.
 */
export async function acquireModels(
  parts: Residents,
  needed: readonly (Model | undefined)[],
  options: AcquireOptions = {},
): Promise<Disposable> {
  const wanted = needed.filter((model) => model !== undefined);
  const [first] = wanted;
  if (!first) return new DisposableStack();
  const { device } = first;
  await settled(device);
  if (options.work && !first.loaded) first.expectRunnable(options.work); // before anything is loaded
  for (let again = false;;) {
    const known = Math.min(parts.memory ?? Infinity, device.memoryCeiling ?? Infinity);
    const idle = modelsOf(parts).filter((model) => model.loaded && !model.needed && !wanted.includes(model));
    makeRoom(wanted, idle, known, options);
    storeTogether(wanted, parts.memory ?? Infinity);
    const only = first.comesInParts || sizeOf(first) + SMALL_BUFFERS > known ? options.only : undefined;
    using acquired = new DisposableStack();
    try {
      for (const model of wanted) {
        acquired.use(
          await model.acquire({ only: model === first ? only : undefined, signal: options.signal }),
        );
      }
      await reserve(first, options.work, parts.memory === undefined);
      return acquired.move();
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      for (const model of wanted) model.retrace(); // their plans may lie in memory that is not there
      await device.settle();
      if (error.wanted) device.memoryCeiling = Math.min(known, error.inUse + error.wanted);
      acquired.dispose();
      if (shrink(wanted, idle.filter((model) => model.loaded), error, options)) continue;
      if (again) throw error;
      again = true; // what was freed may be there by now
    }
  }
}

/** Acquires models for a piece of work, does it, and lets them go. */
export async function withModels<T>(
  parts: Residents,
  needed: readonly (Model | undefined)[],
  options: AcquireOptions,
  work: () => T | Promise<T>,
): Promise<T> {
  using _needed = await acquireModels(parts, needed, options);
  const result = await work();
  const [first] = needed.filter((model) => model !== undefined);
  if (first) await settled(first.device);
  return result;
}

/** Waits until the recorded work is done, so that its errors are thrown here, and not taken for those of other work. */
async function settled(device: Device): Promise<void> {
  await streamOf(device).flush();
  await device.idle();
}

/** Lets idle models go, one after the other, while all together take more than there is. */
function makeRoom(
  wanted: readonly Model[],
  idle: readonly Model[],
  memory: number,
  { work }: AcquireOptions,
): void {
  const total = () => [...wanted, ...idle].reduce((sum, model) => sum + sizeOf(model), 0);
  if (work && total() * AMPLE > memory) wanted[0]!.measure(work);
  let taken = total();
  for (const model of idle) {
    if (taken <= memory) break;
    model.unload();
    taken -= sizeOf(model);
  }
}

/** Stores models that work together so that they fit, as a plan says: those beside the first, then this. */
function storeTogether([first, ...others]: readonly Model[], memory: number): void {
  const ways = (model: Model) => footprintsOf(model, model.workspace);
  const rooms = roomsBeside(ways(first!), others.map(ways), memory);
  others.forEach((model, i) => storeToFit(model, model.workspace, rooms[i]!));
  const beside = others.reduce((sum, model) => sum + sizeOf(model), 0);
  storeToFit(first!, first!.workspace, memory - beside);
}

/** Takes the memory of a model's work; where there is no plan, makes sure that there is some for what is small. */
async function reserve(model: Model, work: (() => unknown) | undefined, isUnknown: boolean): Promise<void> {
  const { device } = model;
  if (work) model.reserve(work);
  const room = isUnknown && !device.traits.software
    ? device.buffers.create("what is small", SMALL_BUFFERS, GPUBufferUsage.STORAGE)
    : undefined;
  try {
    await device.idle();
  } finally {
    if (room) device.buffers.destroy(room);
    device.gpu.queue.submit([]); // freed memory returns at a submit
  }
}

/** Does something against a lack of memory; false where nothing is left to be done. */
function shrink(
  wanted: readonly Model[],
  idle: readonly Model[],
  error: OutOfMemoryError,
  { only, smaller, onNotice = console.warn }: AcquireOptions,
): boolean {
  const [first] = wanted as [Model];
  if (idle.length) {
    for (const model of idle) model.unload();
    return true;
  }
  if (only !== undefined && !first.comesInParts) {
    first.comesInParts = true;
    onNotice(`${nameOf(first)} comes in parts, which take turns: the GPU has no room for all of it`);
    return true;
  }
  if (smaller?.()) return true;
  const whole = wanted.filter((model) => model.bytes > model.streamedBytes);
  const largest = whole.reduce<Model | undefined>((a, b) => a && a.bytes >= b.bytes ? a : b, undefined);
  if (!largest) return false;
  forceStream(largest, error.inUse);
  onNotice(
    `${nameOf(largest)} comes from the disk as it is needed, as the GPU has no room for all of it; ` +
      "fewer bits would be faster: see the options memory and quantize",
  );
  return true;
}

function nameOf(model: Model): string {
  return model.constructor.name;
}

/** The models among the parts of a pipeline. */
export function modelsOf(parts: object): Model[] {
  return Object.values(parts).flat().filter((part) => part instanceof Model);
}

/** Weights, adapters, and the activations of the largest call so far. */
function sizeOf(model: Model): number {
  return model.bytes + model.adapters.bytes + model.workspace;
}
