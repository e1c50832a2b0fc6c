import type { Buffers } from "../memory/buffers.ts";
import type { DeviceBase } from "../device_base.ts";
import { Clock } from "./clock.ts";
import type { Marks } from "./marks.ts";
import type {
  DispatchedWork,
  DispatchRecord,
  HostSpan,
  Recording,
  Stretch,
  TimedDispatch,
  TimingRow,
} from "./records.ts";

/** Record of a pass of several dispatches. */
const PASS = { kernel: "pass", path: "", shape: [], dtype: "", inputs: [], fused: "", live: 0 } as const;

const QUERIES = 4096; // the most that a query set may hold
const STAMPS = 16; // bytes of the two of a pass

/** A device with memory to write timestamps to. */
export interface TimedDevice extends DeviceBase {
  /** All GPU memory of the device. */
  readonly buffers: Buffers;
  /** Copies bytes of a buffer to the host. */
  read(source: GPUBuffer, offset: number, bytes: number): Promise<ArrayBuffer>;
}

/** A pass that is timed. */
type Timed = { -readonly [Key in keyof Omit<TimedDispatch, "start" | "ms">]: TimedDispatch[Key] };

/** Timestamps of a submission, not read yet. */
interface Unread {
  readonly records: readonly Timed[];
  readonly resolved: GPUBuffer;
  /** When it was submitted, and when the host heard that it was done, by performance.now(). */
  readonly submitted: number;
  done: number;
}

/** Times dispatches by timestamps at the edges of their passes. */
export class Profiler implements Disposable {
  /**
   * Work that gets timestamps: each dispatch, in a pass of its own; passes of several dispatches, which run as
   * they do without a profiler (one row for each, of the kernel "pass"); or nothing.
   */
  mode: "dispatches" | "passes" | "off" = "dispatches";
  readonly #device: TimedDevice;
  readonly #sets: GPUQuerySet[] = [];
  #open: Timed[] = [];
  readonly #done: TimedDispatch[] = [];
  /** Submissions whose timestamps are read when somebody asks for them, so that no run waits for that. */
  #unread: Unread[] = [];
  readonly #stretches: Stretch[] = [];
  readonly #host: HostSpan[] = [];
  readonly #memory: [at: number, bytes: number][] = [];
  #clock = new Clock();
  readonly #marks: Marks;

  /** For `Device.beginProfile`. Throws where the adapter lacks timestamps. */
  constructor(device: TimedDevice, marks: Marks) {
    this.#device = device;
    this.#marks = marks;
    if (!device.gpu.features.has("timestamp-query")) {
      throw new Error(
        `Cannot profile on ${device.adapterName}: it lacks timestamp-query; profile on another adapter`,
      );
    }
    marks.onBegin = (stretch) => this.#stretches.push(stretch);
    device.buffers.onChange = (bytes) => this.#memory.push([performance.now(), bytes]);
  }

  /** Listens no longer, and frees its queries. */
  [Symbol.dispose](): void {
    this.#marks.onBegin = this.#device.buffers.onChange = undefined;
    for (const { resolved } of this.#unread) this.#device.buffers.destroy(resolved);
    for (const set of this.#sets) set.destroy();
    this.forget();
  }

  /** Forgets the queries of a GPU that was lost. */
  forget(): void {
    this.#sets.length = this.#open.length = this.#unread.length = 0;
  }

  /** Takes note of what the host did. */
  spent(span: HostSpan): void {
    this.#host.push(span);
  }

  /** True if a dispatch goes into the pass of the one before it. */
  joins({ details }: DispatchedWork, model = ""): boolean {
    if (this.mode !== "passes") return this.mode === "off";
    const last = this.#open.at(-1);
    if (last?.model !== model || last.turn !== (this.#marks.current?.turn ?? 0)) return false;
    const { flops, bytes } = details();
    last.flops += flops;
    last.bytes += bytes;
    last.dispatches++;
    return true;
  }

  /** Timestamps for a new pass, which begins with this dispatch. */
  begin(
    record: DispatchRecord,
    { pipeline, workgroups, details, live = 0 }: DispatchedWork,
    model = "",
  ): GPUComputePassTimestampWrites | undefined {
    if (this.mode === "off") return undefined;
    const { mark = "", turn = 0 } = this.#marks.current ?? {};
    const known = details();
    const what = this.mode === "passes"
      ? { ...PASS, flops: known.flops, bytes: known.bytes }
      : { ...record, ...known, live };
    const query = this.#open.push({ ...what, model, mark, turn, dispatches: 1, pipeline, workgroups }) * 2 -
      2;
    const set = Math.floor(query / QUERIES);
    this.#sets[set] ??= this.#device.gpu.createQuerySet({
      label: "timestamps",
      type: "timestamp",
      count: QUERIES,
    });
    const first = query % QUERIES;
    return { querySet: this.#sets[set], beginningOfPassWriteIndex: first, endOfPassWriteIndex: first + 1 };
  }

  /**
   * Resolves the timestamps of a submission; call it after the last pass, before `finish()`, and what it
   * returns with the time of the submission, by performance.now().
   */
  resolve(encoder: GPUCommandEncoder): (submitted: number) => void {
    const records = this.#open;
    this.#open = [];
    if (records.length === 0) return () => {};
    const { buffers, gpu } = this.#device;
    const usage = GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC;
    const resolved = buffers.create("timestamps", records.length * STAMPS, usage);
    for (let first = 0; first < records.length * 2; first += QUERIES) {
      const count = Math.min(QUERIES, records.length * 2 - first);
      encoder.resolveQuerySet(this.#sets[first / QUERIES]!, 0, count, resolved, first * 8);
    }
    return (submitted) => {
      const unread = { records, resolved, submitted, done: Infinity };
      this.#unread.push(unread);
      gpu.queue.onSubmittedWorkDone().then(() => unread.done = performance.now()).catch(() => {});
    };
  }

  async #read({ records, resolved, ...times }: Unread): Promise<void> {
    const stamps = new BigUint64Array(await this.#device.read(resolved, 0, records.length * STAMPS));
    this.#device.buffers.destroy(resolved);
    const ms = Array.from(stamps, (ns) => Number(ns) / 1e6);
    records.forEach((record, i) => {
      const [start, end] = [ms[2 * i]!, ms[2 * i + 1]!];
      this.#done.push({ ...record, start, ms: Math.max(0, end - start) });
    });
    this.#clock.take(ms, times);
  }

  /** Every dispatch timed so far, in order. */
  async dispatches(): Promise<readonly TimedDispatch[]> {
    await this.#device.finished(); // so that it is known when the last of them was done
    for (const unread of this.#unread.splice(0)) await this.#read(unread);
    return this.#done;
  }

  /** All that was noted since the last reset. */
  async recording(): Promise<Recording> {
    const [host, memory] = [[...this.#host], [...this.#memory]]; // to read timestamps is not part of it
    const dispatches = [...await this.dispatches()];
    return { dispatches, stretches: [...this.#stretches], host, memory, clock: this.#clock.offset() };
  }

  /** Forgets what was noted so far. */
  async reset(): Promise<void> {
    await this.dispatches();
    this.#done.length = this.#stretches.length = this.#host.length = 0;
    this.#memory.splice(0, Infinity, [performance.now(), this.#device.buffers.usage().bytes]);
    this.#clock = new Clock();
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
