import { type Device, DeviceLostError, OutOfMemoryError } from "denoise";
import type { Models } from "../models/models.ts";
import { RefusalError } from "../request/refusal.ts";
import type { DrawOptions } from "./drawing.ts";

/** What is done in a turn. */
type Work<Result> = (options: DrawOptions) => Promise<Result>;

/** Does work within its time, and tries it again where the device was lost or its memory short. */
export class Attempts {
  readonly #device: Device;
  readonly #models: Models;
  readonly #seconds: number;
  readonly #onLost: () => void;

  /** For work that takes at most so many seconds; `onLost` hears of devices that were lost. */
  constructor(device: Device, models: Models, seconds: number, onLost: () => void) {
    this.#device = device;
    this.#models = models;
    this.#seconds = seconds;
    this.#onLost = onLost;
  }

  /** Does it. Throws a RefusalError where it takes too long or too much memory, and for what a pipeline refuses. */
  async run<Result>(options: DrawOptions, work: Work<Result>): Promise<Result> {
    const timeout = AbortSignal.timeout(1000 * this.#seconds);
    const signal = AbortSignal.any([timeout, ...options.signal ? [options.signal] : []]);
    try {
      return await this.#attempts({ ...options, signal }, work);
    } catch (error) {
      if (error === timeout.reason) {
        throw new RefusalError(
          "timeout",
          `Cannot draw: expected to be done within ${this.#seconds} s, and was not`,
        );
      }
      if (error instanceof OutOfMemoryError) {
        throw new RefusalError(
          "no memory",
          "Cannot draw: the GPU has no memory left for it; ask for less",
          "size",
        );
      }
      throw isOfOptions(error) ? new RefusalError("invalid", error.message) : error;
    }
  }

  /** Once more on another device where it was lost, and with the memory of all other models where that was short. */
  async #attempts<Result>(options: DrawOptions, work: Work<Result>): Promise<Result> {
    const attempt = async () => {
      options.signal?.throwIfAborted();
      options.onProgress?.({ phase: "loading" });
      return await work(options);
    };
    try {
      return await attempt();
    } catch (error) {
      if (error instanceof DeviceLostError) {
        this.#onLost();
        await this.#reopen();
      } else if (!(error instanceof OutOfMemoryError)) throw error;
      this.#models.unload(); // where memory is short others may hold it
      await this.#device.settle();
      return await attempt();
    }
  }

  async #reopen(): Promise<void> {
    try {
      await this.#device.reopen();
    } catch (cause) {
      throw new DeviceLostError(`Cannot open the device again: ${(cause as Error).message}`, { cause });
    }
  }
}

/** True for what a pipeline's `run` says of its options, where it names no file. */
function isOfOptions(error: unknown): error is Error {
  return (error instanceof RangeError || error instanceof TypeError) &&
    /^Cannot (draw|run|change|control|see|refer to|slice by strength)\b[^\n]*: (expected|none of) /.test(
      error.message,
    ) &&
    !/(^|[\s"'(])(\.{0,2}\/|[a-z]:\\)/i.test(error.message);
}
