import { Buffers } from "./memory/buffers.ts";
import { settleDawn } from "./open/dawn.ts";
import { DeviceBase, type HostTimes } from "./device_base.ts";
import { Pipelines } from "./shader/pipelines.ts";
import { Marks } from "./profiling/marks.ts";
import { Profiler } from "./profiling/profiler.ts";
import type { TimingRow } from "./profiling/records.ts";
import type { Engine } from "./traits.ts";
import { tunedAdapter, Tunings } from "./tunings/tunings.ts";

/** The user's say in the choice among several kernels of one operator. */
export interface KernelChoice {
  /** See `tune` of DeviceOptions. */
  readonly tune: "off" | "cached" | "now";
  /** Part of the names of kernels that are taken wherever they are right, e.g. "matrix". */
  readonly candidate: string | undefined;
}

/** A form of `Device.dump`. */
export type DumpForm = "text" | "json" | "dot";

/** An open GPU: its buffers, pipelines and state. Closing it frees everything that was made on it. */
export class Device extends DeviceBase implements Disposable {
  /** All GPU memory of the device goes through here, so that `usage()` counts it whole. */
  readonly buffers: Buffers;
  /** The user's say in the choice among several kernels. */
  readonly choice: KernelChoice;
  /** Measurements of kernels on this adapter. */
  readonly tunings: Tunings;
  /** Check of all results, see `check` of DeviceOptions. */
  readonly check: "finite" | undefined;
  /** Compiled shaders, kept until the device closes. */
  readonly pipelines: Pipelines;
  /** Callbacks that run at close, before the GPU is freed: layers above add their cleaning here. */
  readonly closing: (() => void)[] = [];
  /** Runs before a lost GPU is replaced: layers above forget here what they had on it. */
  readonly losing: (() => void)[] = [];
  /** Bytes of memory that it turned out to have when an allocation failed. */
  memoryCeiling: number | undefined;
  /** The traced graphs in a form: set by the layer that has them. */
  describeGraphs: (form: DumpForm) => string = () => "";
  /** Objects that layers above keep for this device, by class. */
  readonly #attached = new Map<unknown, unknown>();
  readonly #request: () => Promise<GPUDevice>;
  #marks: Marks | undefined;
  #profiler: Profiler | undefined;

  /**
   * For openDevice(), which asks the adapter for all its limits and for the features that are used; `request`
   * asks for another such device.
   */
  constructor(
    gpu: GPUDevice,
    adapter: GPUAdapterInfo,
    engine: Engine,
    options: {
      profile: boolean;
      check?: "finite" | undefined;
      choice: KernelChoice;
      tunings?: Tunings | undefined;
      request: () => Promise<GPUDevice>;
    },
  ) {
    super(gpu, adapter, engine);
    this.#request = options.request;
    this.choice = options.choice;
    this.check = options.check;
    this.tunings = options.tunings ?? new Tunings(tunedAdapter(engine, adapter));
    this.buffers = new Buffers(this);
    this.pipelines = new Pipelines(this);
    if (options.check) this.#marks = new Marks();
    if (options.profile) this.beginProfile();
    opened.push(this);
  }

  /** Names of stretches of work, while something asks for them: with `check`, or while dispatches are timed. */
  get marks(): Marks | undefined {
    return this.#marks;
  }

  /** Times dispatches: of a device that was opened with `profile: true`, or while `beginProfile` has one. */
  get profiler(): Profiler | undefined {
    return this.#profiler;
  }

  /**
   * Times dispatches, as `profile: true` does, until what is returned is disposed of. Of models that ran before, `retrace()`
   * first: their plans know nothing of what is live. Throws where the adapter lacks timestamps, or while a profile goes on.
   */
  beginProfile(): Disposable {
    if (this.#profiler) throw new Error("Cannot begin a profile: one goes on; end it first");
    const before = this.#marks;
    const marks = before ?? new Marks();
    const profiler = new Profiler(this, marks);
    [this.#marks, this.#profiler] = [marks, profiler];
    return {
      [Symbol.dispose]: () => {
        if (this.#profiler !== profiler) return;
        [this.#marks, this.#profiler] = [before, undefined];
        profiler[Symbol.dispose]();
      },
    };
  }

  /**
   * Takes a new device of the same adapter in place of one that was lost, with all that was in its memory. Throws
   * NoAdapterError where there is none, or one that can do less than the lost one.
   */
  async reopen(): Promise<void> {
    const gpu = await this.#request();
    for (const forget of this.losing) forget();
    this.buffers.forget();
    this.pipelines.forget();
    this.#profiler?.forget();
    this.connect(gpu);
  }

  /**
   * The traced graphs: their dispatches with kernels, inputs, what is fused into them, and where each result
   * lies. As "text" a line each; as "json" data of the form `GraphDump`; as "dot" for Graphviz, a cluster for
   * each module.
   */
  dump(form: DumpForm = "text"): string {
    return this.describeGraphs(form);
  }

  /**
   * Names a stretch of work, e.g. of a loop, for the device's timings and errors of its check; it ends where
   * what is returned is disposed of. What is recorded meanwhile counts, whenever it runs. Stretches within
   * others are named "outer/inner". Without `profile: true` and `check` it does nothing.
   *
   * ```ts ignore
   * using _ = device.mark("guidance");
   * ```
   */
  mark(name: string): Disposable {
    return this.#marks?.begin(name) ?? UNMARKED;
  }

  /** Counts time of the host, for profiles too. */
  override spend(kind: keyof HostTimes, start: number, end: number, within?: number): void {
    super.spend(kind, start, end, within);
    this.#profiler?.spent({ kind, start, end });
  }

  /**
   * One row for each kernel, model, module path, shape and stretch, the longest first; for devices opened
   * with `profile: true`.
   */
  async timings(): Promise<TimingRow[]> {
    if (!this.#profiler) throw new Error("Cannot list timings: open the device with { profile: true }");
    return await this.#profiler.rows();
  }

  /** The one object of a class that layers above keep for the device; made when it is first asked for. */
  attached<T>(type: new (device: Device) => T): T {
    let one = this.#attached.get(type) as T | undefined;
    if (!one) this.#attached.set(type, one = new type(this));
    return one;
  }

  /** Copies bytes of a buffer to the host. Offset and size are multiples of 4. */
  async read(source: GPUBuffer, offset: number, bytes: number): Promise<ArrayBuffer> {
    if (bytes === 0) return new ArrayBuffer(0);
    this.assertAlive();
    const staging = this.buffers.create("readback", bytes, GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST);
    const encoder = this.gpu.createCommandEncoder({ label: "readback" });
    encoder.copyBufferToBuffer(source, offset, staging, 0, bytes);
    this.submit(encoder, "reading back");
    try {
      const mapped = staging.mapAsync(GPUMapMode.READ);
      return await this.outcome(mapped.then(() => staging.getMappedRange(0, bytes).slice(0)));
    } finally {
      this.buffers.destroy(staging);
    }
  }

  /** Frees everything. A second call does nothing. */
  [Symbol.dispose](): void {
    if (this.closed) return;
    for (const clean of this.closing) clean();
    this.closed = true;
    this.buffers.destroyAll();
    this.gpu.destroy();
    opened.splice(opened.indexOf(this), 1);
    if (this.engine === "dawn" && !opened.some(({ engine }) => engine === "dawn")) settleDawn(); // else others may be at work
  }
}

const UNMARKED: Disposable = { [Symbol.dispose]() {} };

/** Open devices, in the order in which they opened. */
const opened: Device[] = [];

/** The device that tensors are made on: of those that are open, the one opened last. */
export function currentDevice(): Device {
  const current = opened.at(-1);
  if (!current) {
    throw new Error(
      "Cannot make a tensor: no device is open; begin with `using device = await openDevice()`",
    );
  }
  return current;
}
