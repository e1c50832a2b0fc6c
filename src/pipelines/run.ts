import { formatShape, sameNumbers } from "../core/shape.ts";
import { streamOf } from "../graph/run/stream.ts";
import { currentDevice } from "../gpu/device.ts";
import { OutOfMemoryError } from "../gpu/errors.ts";
import type { LoraModels } from "../models/mod.ts";
import type { RandomOptions } from "../random/mod.ts";
import type { Scheduler } from "../schedulers/mod.ts";
import { free, progress, type ProgressOptions, scope, Tensor } from "../tensor/mod.ts";
import { type ScaleSchedule, ScheduledScales } from "./adapter_scales.ts";
import type { PreviewOptions, Previews } from "./previews/previews.ts";
import { recovering, type Recovery } from "./recovery.ts";
import { modelsOf } from "./memory/acquire.ts";
import { expectRunOptions, type PipelineTaking } from "./run_options.ts";

/** The result of every pipeline. */
export interface PipelineOutput {
  /** Pictures in [0, 1]. [B, C, H, W] */
  images: Tensor;
}

/** Options of every pipeline's `run`. */
export interface RunOptions {
  /** Options of the progress bar; false hides it. */
  progress?: Omit<ProgressOptions, "signal"> | false | undefined;
  /** Ends the run between two steps. */
  signal?: AbortSignal | undefined;
  /**
   * Ends the steps early, when it is aborted: the step that comes then is the last, and what it predicts to be left without
   * noise becomes the picture. Without one all steps are taken.
   */
  interrupt?: AbortSignal | undefined;
  /**
   * Called after each step with its number, its timestep, the sample so far and the number of all steps. A tensor that it
   * returns, or promises, takes the sample's place; of a sample that it keeps it makes a copy, e.g. by `sample.clone()`.
   */
  onStep?: ((step: number, timestep: number, sample: Tensor, steps: number) => unknown) | undefined;
  /**
   * Keeps each step on the host too, and where the device is lost asks for a new one and goes on from there; false by
   * default, as it costs a reading back of the sample, and of what the scheduler remembers, at every step.
   */
  recover?: boolean | undefined;
  /** Shows small pictures of what is being drawn. */
  preview?: PreviewOptions | undefined;
  /**
   * Strengths of LoRAs of the denoiser in each step, by name, e.g. `{ style: scaleBetween(0.8, 0.2, 1) }` or
   * `{ style: (step, steps) => 1 - step / steps }`; others have those that were set, and so has all of them what is computed
   * before the steps, e.g. text encoders. Each change of a LoRA that is merged into weights takes about as long as loading it.
   */
  adapterScales?: Readonly<Record<string, ScaleSchedule>> | undefined;
}

/** State of a run, beside the options that it was given. */
interface RunState {
  recovery?: Recovery | undefined;
  scaling?: ScheduledScales | undefined;
}

/**
 * Does a run with the parts as they are now: what is exchanged meanwhile is of the next. A scheduler remembers the steps
 * of one run, so that a second run beside it gets a copy. Where the options ask for it, the run outlives its device.
 * Options that the pipeline does not take are refused.
 */
export async function ownRun<
  Parts extends LoraModels & { scheduler: Scheduler },
  Options extends RunOptions & RandomOptions,
  T,
>(
  pipeline: PipelineTaking<Options>,
  parts: Parts,
  options: Options,
  run: (parts: Parts, options: Options) => Promise<T>,
): Promise<T> {
  expectRunOptions(pipeline, options);
  const { adapterScales } = options ?? {};
  const scaling = adapterScales && new ScheduledScales(parts, adapterScales);
  if (scaling) options = { ...options, scaling };
  const own = parts.scheduler.isRunning ? { ...parts, scheduler: parts.scheduler.clone() } : { ...parts };
  own.scheduler.isRunning = true;
  try {
    if (!options?.recover) return await run(own, options);
    return await recovering(own, options, (options) => run(own, options));
  } catch (error) {
    const [model] = modelsOf(own);
    if (model && error instanceof OutOfMemoryError) {
      await streamOf(model.device).flush().catch(() => {}); // what is recorded still is not of the next run
      await model.device.settle();
    }
    throw error;
  } finally {
    own.scheduler.isRunning = false;
    await scaling?.end();
  }
}

/**
 * Takes a sample, which is the loop's from then on, through its steps, or through those that a lost device left, with bar,
 * signal, callback and previews, the last of which is there before the bar ends. `step` gives the sample after it, or where
 * it is told that the steps end with it, early, that without noise; what `ahead` returns is awaited before each: it records
 * at once, as `step` does.
 */
export async function runSteps(
  start: Tensor,
  timesteps: readonly number[],
  scheduler: Scheduler,
  { progress: bar, signal, interrupt, onStep, recovery, scaling }: RunOptions & RunState,
  step: (sample: Tensor, timestep: number, number: number, ends: boolean) => Tensor,
  previews: Previews,
  ahead?: (sample: Tensor, timestep: number, number: number) => Promise<void> | undefined,
): Promise<Tensor> {
  let { sample, done: number } = recovery?.resume(scheduler) ?? { sample: start, done: 0 };
  if (sample !== start) free(start);
  const options: ProgressOptions = bar === false ? { write: false, signal } : { ...bar, signal };
  try {
    for await (const t of progress(timesteps.slice(number), options)) {
      using _ = currentDevice().mark("step");
      const scaled = <T>(work: () => T) => scaling ? scaling.during(number, timesteps.length, work) : work();
      if (ahead) await scaled(() => ahead(sample, t, number)); // with no scope open: others may record meanwhile
      const isLast = number === timesteps.length - 1;
      const ends = !isLast && (interrupt?.aborted ?? false);
      const next = scaled(() => step(sample, t, number, ends));
      sample = next instanceof Promise ? await next : next;
      if (onStep) sample = replaced(sample, await onStep(number, t, sample, timesteps.length));
      number++;
      recovery?.keep(number, sample, scheduler);
      if (ends || isLast) await previews.end();
      if (ends) break;
    }
  } catch (error) {
    free(sample);
    throw error;
  }
  return sample;
}

/** The sample to go on with: what a callback returned, if that is one. */
function replaced(sample: Tensor, returned: unknown): Tensor {
  if (returned === sample || typeof returned !== "object" || returned === null) return sample;
  if (!(returned instanceof Tensor) || !sameNumbers(returned.shape, sample.shape)) {
    const got = returned instanceof Tensor ? String(returned) : "another object";
    throw new TypeError(
      `Cannot go on from what onStep returned: expected a sample ${
        formatShape(sample.shape)
      } or nothing, got ${got}`,
    );
  }
  using before = scope(sample);
  return before.keep(returned);
}
