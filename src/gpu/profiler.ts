import type { Buffers } from "./memory/buffers.ts";
import type { DeviceBase } from "./device_base.ts";

/** One dispatch: its kernel, its place in the model, and its time, bytes and operations. */
export interface DispatchRecord {
  /** Kernel name. */
  readonly kernel: string;
  /** Module path in the model, e.g. "down_blocks.1.attentions.0". */
  readonly path: string;
  /** Arithmetic operations, as the kernel's author counts them from its sizes. */
  readonly flops: number;
  /** Bytes that must move at least: inputs read once, output written once. */
  readonly bytes: number;
}

/** A dispatch with its time on the GPU. */
export interface TimedDispatch extends DispatchRecord {
  /** Start in ms on the GPU's clock. */
  readonly start: number;
  /** From the start to the end of the dispatch's own pass. */
  readonly ms: number;
}

/** A row of `timings()`: all dispatches of one kernel in one module. */
export interface TimingRow {
  /** As in DispatchRecord. */
  readonly kernel: string;
  /** As in DispatchRecord; "" outside models. */
  readonly path: string;
  /** Dispatches, over all steps since the last reset. */
  readonly calls: number;
  /** Time of all calls together, in ms. */
  readonly ms: number;
  /** 10⁹ operations a second. */
  readonly gflops: number;
  /** 10⁹ bytes a second, at least: what a kernel reads again is not counted. */
  readonly gbytes: number;
  /** Part of the total time, 0 to 1. */
  readonly share: number;
}

const QUERIES = 4096; // the most that a query set may hold

/** A device with memory to write timestamps to. */
export interface TimedDevice extends DeviceBase {
  /** All GPU memory of the device. */
  readonly buffers: Buffers;
  /** Copies bytes of a buffer to the host. */
  read(source: GPUBuffer, offset: number, bytes: number): Promise<ArrayBuffer>;
}

/** Times dispatches by timestamps at the edges of their passes. */
export class Profiler {
  readonly #device: TimedDevice;
  readonly #sets: GPUQuerySet[] = [];
  #open: DispatchRecord[] = [];
  readonly #done: TimedDispatch[] = [];
  readonly #reading: Promise<void>[] = [];

  /** For devices opened with `profile: true`. Throws where the adapter lacks timestamps. */
  constructor(device: TimedDevice) {
    this.#device = device;
    if (!device.gpu.features.has("timestamp-query")) {
      throw new Error(
        `Cannot profile on ${device.adapterName}: it lacks timestamp-query; profile on another adapter`,
      );
    }
  }

  /** Forgets the queries of a GPU that was lost. */
  forget(): void {
    this.#sets.length = this.#open.length = this.#reading.length = 0;
  }

  /** Timestamps for the pass of the next dispatch. */
  begin(record: DispatchRecord): GPUComputePassTimestampWrites {
    const query = this.#open.push(record) * 2 - 2;
    const set = Math.floor(query / QUERIES);
    this.#sets[set] ??= this.#device.gpu.createQuerySet({
      label: "timestamps",
      type: "timestamp",
      count: QUERIES,
    });
    const first = query % QUERIES;
    return { querySet: this.#sets[set], beginningOfPassWriteIndex: first, endOfPassWriteIndex: first + 1 };
  }

  /** Resolves the timestamps of a submission; call it after the last pass, before `finish()`. */
  resolve(encoder: GPUCommandEncoder): () => void {
    const records = this.#open;
    this.#open = [];
    if (records.length === 0) return () => {};
    const { buffers } = this.#device;
    const bytes = records.length * 16;
    const usage = GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC;
    const resolved = buffers.create("timestamps", bytes, usage);
    for (let first = 0; first < records.length * 2; first += QUERIES) {
      const count = Math.min(QUERIES, records.length * 2 - first);
      encoder.resolveQuerySet(this.#sets[first / QUERIES]!, 0, count, resolved, first * 8);
    }
    return () => {
      this.#reading.push(this.#read(records, resolved, bytes));
    };
  }

  async #read(records: DispatchRecord[], resolved: GPUBuffer, bytes: number): Promise<void> {
    const stamps = new BigUint64Array(await this.#device.read(resolved, 0, bytes));
    this.#device.buffers.destroy(resolved);
    records.forEach((record, i) => {
      const start = Number(stamps[2 * i]) / 1e6;
      this.#done.push({ ...record, start, ms: Math.max(0, Number(stamps[2 * i + 1]) / 1e6 - start) });
    });
  }

  /** Every dispatch timed so far, in order. */
  async dispatches(): Promise<readonly TimedDispatch[]> {
    await Promise.all(this.#reading.splice(0));
    return this.#done;
  }

  /** Forgets what was timed so far. */
  async reset(): Promise<void> {
    await this.dispatches();
    this.#done.length = 0;
  }

  /** One row per kernel and module path, the longest first. */
  async rows(): Promise<TimingRow[]> {
    const groups = Map.groupBy(await this.dispatches(), ({ kernel, path }) => `${kernel} ${path}`);
    const sum = (list: readonly TimedDispatch[], key: "ms" | "flops" | "bytes") =>
      list.reduce((total, dispatch) => total + dispatch[key], 0);
    const total = sum(this.#done, "ms");
    return [...groups.values()].map((list) => {
      const ms = sum(list, "ms");
      const rate = (amount: number) => ms > 0 ? amount / ms / 1e6 : 0;
      return {
        kernel: list[0]!.kernel,
        path: list[0]!.path,
        calls: list.length,
        ms,
        gflops: rate(sum(list, "flops")),
        gbytes: rate(sum(list, "bytes")),
        share: total > 0 ? ms / total : 0,
      };
    }).sort((a, b) => b.ms - a.ms);
  }
}

/** Dispatches as a trace that Perfetto and Chrome open, on the GPU's own clock. */
export function traceEvents(dispatches: readonly TimedDispatch[]): { traceEvents: object[] } {
  const first = dispatches[0]?.start ?? 0;
  return {
    traceEvents: dispatches.map(({ kernel, path, start, ms, flops, bytes }) => ({
      name: path ? `${path} ${kernel}` : kernel,
      cat: kernel,
      ph: "X",
      ts: (start - first) * 1000, // µs
      dur: ms * 1000,
      pid: 1,
      tid: 1,
      args: { kernel, path, gflops: ms ? flops / ms / 1e6 : 0, gbytes: ms ? bytes / ms / 1e6 : 0 },
    })),
  };
}
