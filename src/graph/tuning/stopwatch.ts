import type { Storage } from "../../gpu/memory/buffers.ts";
import type { Device } from "../../gpu/device.ts";
import { fill } from "./fill.ts";
import type { Trial } from "./bench.ts";

/** Limits of measuring candidates. */
export interface Patience {
  /** Turns of each, at most. */
  readonly rounds: number;
  /** Turns that each gets, however slow it is; later ones only those get that may still be the fastest. */
  readonly least: number;
  /** No further round begins after this, once each had its least turns. */
  readonly mostMs: number;
}

const BATCH_MS = 10; // without timestamps a batch of runs takes at least this long
const HOPELESS = 2; // times as slow as the best: not timed any further
const WARM_MS = 150;
const COLD_BYTES = 2 ** 27; // more than caches hold

/**
 * Times trials in turns, A B C A B C …, and returns the times of each in ms. A GPU's caches are emptied in front of each
 * run, as weights of a model are never in them.
 */
export async function timeInTurns(
  device: Device,
  trials: readonly Trial[],
  { rounds, least, mostMs }: Patience,
): Promise<number[][]> {
  if (!device.traits.software) await warm(device, trials);
  const times: number[][] = trials.map(() => []);
  using watch = new Stopwatch(device);
  const start = performance.now();
  for (let round = 0; round < rounds; round++) {
    if (round >= least && performance.now() - start > mostMs) break;
    const best = Math.min(...times.map(median));
    for (const [i, trial] of trials.entries()) {
      if (round < least || median(times[i]!) <= HOPELESS * best) times[i]!.push(await watch.time(trial));
    }
  }
  return times;
}

/** Keeps a GPU at work until its clocks are those of a model that runs: one that idled takes up to four times as long. */
async function warm(device: Device, trials: readonly Trial[]): Promise<void> {
  const end = performance.now() + WARM_MS;
  for (let i = 0; trials.length > 0 && performance.now() < end; i = (i + 1) % trials.length) {
    runOnce(device, trials[i]!);
    await device.idle();
  }
}

/** The middle value; Infinity where there is none. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? Infinity;
}

/** Times single runs by timestamps, or where there are none batches of them by the clock. */
class Stopwatch implements Disposable {
  readonly #device: Device;
  readonly #queries: GPUQuerySet | undefined;
  readonly #cold: Storage | undefined;

  constructor(device: Device) {
    this.#device = device;
    const { gpu, traits, limits } = device;
    if (gpu.features.has("timestamp-query")) {
      if (!traits.software) {
        const bytes = Math.min(COLD_BYTES, limits.maxStorageBufferBindingSize);
        this.#cold = device.buffers.allocate("tuning caches", bytes);
      }
      this.#queries = gpu.createQuerySet({ label: "tuning", type: "timestamp", count: 2 });
    }
  }

  /** Milliseconds of one run. */
  async time(trial: Trial): Promise<number> {
    const ms = this.#queries && await this.#stamped(trial, this.#queries);
    return ms || await this.#batched(trial); // stamps may be too coarse to tell
  }

  async #stamped(trial: Trial, querySet: GPUQuerySet): Promise<number> {
    const { gpu, buffers } = this.#device;
    if (this.#cold) {
      await fill(this.#device, this.#cold, "nothing", 0);
      await this.#device.idle(); // a pass's first stamp does not wait for work that was submitted before it
    }
    const stamps = buffers.create(
      "tuning stamps",
      16,
      GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    );
    const encoder = gpu.createCommandEncoder({ label: "tuning" });
    const pass = encoder.beginComputePass({
      label: trial.candidate.name,
      timestampWrites: { querySet, beginningOfPassWriteIndex: 0, endOfPassWriteIndex: 1 },
    });
    trial.encode(pass);
    pass.end();
    encoder.resolveQuerySet(querySet, 0, 2, stamps, 0);
    this.#device.submit(encoder, `timing ${trial.candidate.name}`);
    try {
      const [from, to] = new BigUint64Array(await this.#device.read(stamps, 0, 16));
      return Math.max(0, Number(to! - from!) / 1e6);
    } finally {
      buffers.destroy(stamps);
    }
  }

  async #batched(trial: Trial): Promise<number> {
    for (let runs = 1;; runs *= 4) {
      const start = performance.now();
      runOnce(this.#device, trial, runs);
      await this.#device.idle();
      const ms = performance.now() - start;
      if (ms >= BATCH_MS || runs >= 1024) return ms / runs;
    }
  }

  [Symbol.dispose](): void {
    this.#queries?.destroy();
    this.#cold?.release();
  }
}

/** Submits runs of a trial. */
export function runOnce(device: Device, trial: Trial, runs = 1): void {
  const encoder = device.gpu.createCommandEncoder({ label: "tuning" });
  const pass = encoder.beginComputePass({ label: trial.candidate.name });
  for (let i = 0; i < runs; i++) trial.encode(pass);
  pass.end();
  device.submit(encoder, `trying ${trial.candidate.name}`);
}
