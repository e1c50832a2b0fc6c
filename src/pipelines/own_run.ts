import { streamOf } from "../graph/run/stream.ts";
import { OutOfMemoryError } from "../gpu/errors.ts";
import type { RandomOptions } from "../random/mod.ts";
import type { Scheduler } from "../schedulers/mod.ts";
import type { RunOptions } from "./run.ts";
import { recovering } from "./recovery.ts";
import { modelsOf } from "./memory/residency.ts";
import { expectRunOptions, type PipelineName } from "./run_options.ts";

const atWork = new WeakSet<Scheduler>();

/**
 * Does a run with the parts as they are now: what is exchanged meanwhile is of the next. A scheduler remembers the steps
 * of one run, so that a second run beside it gets a copy. Where the options ask for it, the run outlives its device.
 * Options that the pipeline does not take are refused.
 */
export async function ownRun<
  Parts extends { scheduler: Scheduler },
  Options extends RunOptions & RandomOptions,
  T,
>(
  pipeline: PipelineName,
  parts: Parts,
  options: Options,
  run: (parts: Parts, options: Options) => Promise<T>,
): Promise<T> {
  expectRunOptions(pipeline, options);
  const isBeside = atWork.has(parts.scheduler);
  const own = isBeside ? { ...parts, scheduler: parts.scheduler.clone() } : { ...parts };
  atWork.add(own.scheduler);
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
    atWork.delete(own.scheduler);
  }
}
