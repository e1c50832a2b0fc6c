import { expectOptions, nameOfKind } from "../core/error.ts";
import { Bar, type BarOptions } from "../core/bar.ts";
import { currentDevice } from "../gpu/device.ts";
import { streamOf } from "../graph/run/stream.ts";

/** Options of progress(): the bar's text, its place, and a signal that ends the loop. */
export interface ProgressOptions extends Pick<BarOptions, "label" | "write"> {
  /** Ends the loop with the signal's reason. */
  signal?: AbortSignal | undefined;
}

/**
 * Yields the items and shows a bar, as tqdm does. Each iteration submits the step just recorded and
 * waits for the one before it, so the bar is true and the GPU is never idle.
 */
export async function* progress<T>(
  items: readonly T[],
  options: ProgressOptions = {},
): AsyncGenerator<T, void, void> {
  expectOptions("show progress", options, ["label", "write", "signal"]);
  if (!Array.isArray(items)) {
    throw new TypeError(
      `Cannot show progress: expected a list, as scheduler.timesteps is, got ${nameOfKind(items)}`,
    );
  }
  const { signal } = options;
  const device = currentDevice();
  const stream = streamOf(device);
  let before = Promise.resolve();
  let done = 0;
  const compiled = device.pipelines.statistics.count;
  const beat = () => {
    const count = device.pipelines.statistics.count - compiled;
    return done < 2 && count > 0 && device.traits.software ? `compiling ${count} kernels, once` : "";
  };
  const bar = new Bar(items.length, { ...options, beat });
  try {
    for (const item of items) {
      signal?.throwIfAborted();
      yield item;
      await stream.flush();
      await device.waitFor(before);
      bar.update(done++); // the step just submitted is not done yet
      before = device.finished();
      before.catch(() => {}); // thrown by the next iteration
    }
    await device.waitFor(before);
    bar.update(done);
  } finally {
    bar.end();
  }
}
