import type { Buffers } from "./memory/buffers.ts";
import type { DeviceBase } from "./device_base.ts";
import type { Pipeline } from "./shader/pipelines.ts";

/** One dispatch: its kernel, its place in the model, its size, bytes and operations. */
export interface DispatchRecord {
  /** Kernel name. */
  readonly kernel: string;
  /** Module path in the model, e.g. "down_blocks.1.attentions.0". */
  readonly path: string;
  /** Shape of the result as the kernel sees it: of most kernels outer batch, inner batch, rows, columns. */
  readonly shape: readonly number[];
  /** Arithmetic operations, as the kernel's author counts them from its sizes. */
  readonly flops: number;
  /** Bytes that must move at least: inputs read once, output written once. */
  readonly bytes: number;
}

/** A dispatch, or a pass of several, with its time on the GPU. */
export interface TimedDispatch extends DispatchRecord {
  /** Class of the model that it is of; "" outside models. */
  readonly model: string;
  /** Name of the stretch in which it was recorded, see `device.mark`; "" outside stretches. */
  readonly mark: string;
  /** Number of that stretch, from 1 for the device's first; those within others have that of the outermost; 0 outside. */
  readonly turn: number;
  /** 1, or how many dispatches the pass has. */
  readonly dispatches: number;
  /** What ran; of a pass of several dispatches the first. */
  readonly pipeline: Pipeline;
  /** Workgroups along x and y, likewise. */
  readonly workgroups: readonly [number, number];
  /** Start in ms on the GPU's clock. */
  readonly start: number;
  /** From the start to the end of the dispatch's own pass. */
  readonly ms: number;
}

/** A row of `timings()`: all dispatches of one kernel, module, shape and stretch. */
export interface TimingRow extends DispatchRecord, Pick<TimedDispatch, "model" | "mark"> {
  /** Dispatches, over all steps since the last reset. */
  readonly calls: number;
  /** Time of all calls together, in ms. */
  readonly ms: number;
  /** Operations of all calls together. */
  readonly flops: number;
  /** Bytes of all calls together. */
  readonly bytes: number;
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

/** A stretch of a loop by the host's clock. */
export interface Stretch {
  /** As in TimedDispatch. */
  readonly mark: string;
  /** As in TimedDispatch. */
  readonly turn: number;
  /** When it began, as performance.now() has it. */
  readonly start: number;
  /** When it ended; undefined while it goes on. */
  end: number | undefined;
}

/** A pass that is timed. */
type Timed = { -readonly [Key in keyof Omit<TimedDispatch, "start" | "ms">]: TimedDispatch[Key] };

/** Times dispatches by timestamps at the edges of their passes. */
export class Profiler {
  /**
   * What gets timestamps: each dispatch, in a pass of its own; passes of several dispatches, which run as they do without a
   * profiler (one row for each, of the kernel "pass"); or nothing.
   */
  mode: "dispatches" | "passes" | "off" = "dispatches";
  readonly #device: TimedDevice;
  readonly #sets: GPUQuerySet[] = [];
  #open: Timed[] = [];
  readonly #done: TimedDispatch[] = [];
  readonly #reading: Promise<void>[] = [];
  readonly #stretches: Stretch[] = [];
  /** Those that go on, the outermost first. */
  readonly #marked: Stretch[] = [];
  #turns = 0;
  /** The stretches in which nodes were recorded that did not run yet, by the nodes' numbers. */
  readonly #noted = new Map<number, Stretch>();
  /** The stretch of what is encoded now. */
  #current: Stretch | undefined;

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

  /** Begins a stretch, see `device.mark`. */
  mark(name: string): Disposable {
    const outer = this.#marked.at(-1);
    const stretch: Stretch = {
      mark: outer ? `${outer.mark}/${name}` : name,
      turn: outer?.turn ?? ++this.#turns,
      start: performance.now(),
      end: undefined,
    };
    this.#marked.push(stretch);
    this.#stretches.push(stretch);
    return {
      [Symbol.dispose]: () => {
        stretch.end ??= performance.now();
        const i = this.#marked.indexOf(stretch);
        if (i >= 0) this.#marked.splice(i, 1);
      },
    };
  }

  /** Takes note of the stretch in which a node is recorded; numbers grow. */
  note(id: number): void {
    const stretch = this.#marked.at(-1);
    if (stretch) this.#noted.set(id, stretch);
  }

  /** Commands encoded from now on belong to the node of this number. */
  enter(id: number): void {
    this.#current = this.#noted.get(id);
    for (const other of this.#noted.keys()) {
      if (other > id) break;
      this.#noted.delete(other); // work is encoded in order
    }
  }

  /** Stretches since the last reset, in the order in which they began. */
  get stretches(): readonly Stretch[] {
    return this.#stretches;
  }

  /** True if a dispatch goes into the pass of the one before it. */
  joins(record: DispatchRecord, model = ""): boolean {
    if (this.mode !== "passes") return this.mode === "off";
    const last = this.#open.at(-1);
    if (last?.model !== model || last.turn !== (this.#current?.turn ?? 0)) return false;
    last.flops += record.flops;
    last.bytes += record.bytes;
    last.dispatches++;
    return true;
  }

  /** Timestamps for a new pass, which begins with this dispatch. */
  begin(
    record: DispatchRecord,
    { pipeline, workgroups }: Pick<TimedDispatch, "pipeline" | "workgroups">,
    model = "",
  ): GPUComputePassTimestampWrites | undefined {
    if (this.mode === "off") return undefined;
    const { mark = "", turn = 0 } = this.#current ?? {};
    const { kernel, path, shape, flops, bytes } = record;
    const whole = this.mode === "passes" ? { kernel: "pass", path: "", shape: [] } : { kernel, path, shape };
    const open = { ...whole, flops, bytes, model, mark, turn, dispatches: 1, pipeline, workgroups };
    const query = this.#open.push(open) * 2 - 2;
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

  async #read(records: readonly Timed[], resolved: GPUBuffer, bytes: number): Promise<void> {
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
    this.#done.length = this.#stretches.length = 0;
  }

  /** One row for each kernel, model, module path, shape and stretch, the longest first. */
  async rows(): Promise<TimingRow[]> {
    const groups = Map.groupBy(await this.dispatches(), rowKey);
    const total = this.#done.reduce((sum, { ms }) => sum + ms, 0);
    return [...groups.values()].map((list) => {
      const { kernel, model, path, shape, mark } = list[0]!;
      const sum = (key: "ms" | "flops" | "bytes") => list.reduce((sum, dispatch) => sum + dispatch[key], 0);
      const [ms, flops, bytes] = [sum("ms"), sum("flops"), sum("bytes")];
      const rate = (amount: number) => ms > 0 ? amount / ms / 1e6 : 0;
      return {
        kernel,
        model,
        path,
        shape,
        mark,
        flops,
        bytes,
        calls: list.length,
        ms,
        gflops: rate(flops),
        gbytes: rate(bytes),
        share: total > 0 ? ms / total : 0,
      };
    }).sort((a, b) => b.ms - a.ms);
  }
}

function rowKey({ kernel, model, path, shape, mark }: TimedDispatch): string {
  return [kernel, model, path, shape.join("x"), mark].join(" ");
}

/** Dispatches as a trace that Perfetto and Chrome open, on the GPU's own clock. */
export function traceEvents(dispatches: readonly TimedDispatch[]): { traceEvents: object[] } {
  const first = dispatches[0]?.start ?? 0;
  return {
    traceEvents: dispatches.map(({ kernel, path, start, ms, flops, bytes, model, mark, turn, shape }) => ({
      name: path ? `${path} ${kernel}` : kernel,
      cat: kernel,
      ph: "X",
      ts: (start - first) * 1000, // µs
      dur: ms * 1000,
      pid: 1,
      tid: 1,
      args: {
        kernel,
        path,
        ...model && { model },
        ...mark && { mark, turn },
        shape: shape.join("x"),
        gflops: ms ? flops / ms / 1e6 : 0,
        gbytes: ms ? bytes / ms / 1e6 : 0,
      },
    })),
  };
}
