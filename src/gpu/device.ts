import { Buffers } from "./buffers.ts";
import { settleDawn } from "./dawn.ts";
import { DeviceLostError, GPUCommandError, OutOfMemoryError } from "./errors.ts";
import { Pipelines } from "./pipelines.ts";
import { Profiler, type TimingRow } from "./profiler.ts";
import { type Traits, traitsOf } from "./traits.ts";
import { tunedAdapter, Tunings } from "./tunings.ts";

/** Which implementation of WebGPU runs the commands. */
export type Engine = "dawn" | "deno";

/** Where the choice among several kernels for one operator comes from. */
export interface KernelChoice {
  /** See `tune` of DeviceOptions. */
  readonly tune: "off" | "cached" | "now";
  /** Part of the names of kernels that are taken wherever they are right, e.g. "matrix". */
  readonly candidate: string | undefined;
}

/** An open GPU: its buffers, pipelines and state. Closing it frees everything that was made on it. */
export class Device implements Disposable {
  /** All that the adapter allows: a WebGPU device has the least by default. */
  readonly limits: GPUSupportedLimits;
  /** Read off the adapter once, when the device opens. */
  readonly traits: Traits;
  /** All GPU memory of the device goes through here, so that `usage()` counts it whole. */
  readonly buffers: Buffers;
  /** Where the choice among several kernels comes from. */
  readonly choice: KernelChoice;
  /** What was measured of kernels on this adapter. */
  readonly tunings: Tunings;
  /** Compiled shaders, kept until the device closes. */
  readonly pipelines: Pipelines;
  /** Times every dispatch where the device was opened with `profile: true`. */
  readonly profiler: Profiler | undefined;
  /** Runs at close, before the GPU goes: layers above leave their cleaning here. */
  readonly closing: (() => void)[] = [];
  /** Runs before a lost GPU is replaced: layers above forget here what they had on it. */
  readonly losing: (() => void)[] = [];
  /** Bytes of memory that it turned out to have when an allocation failed. */
  memoryCeiling: number | undefined;
  /** Text of the traced graphs: set by the layer that has them. */
  describeGraphs: () => string = () => "";
  /** What it does since the last submission. */
  #running = "idle";
  #failure: Error | undefined;
  /** What layers above keep for it, by class. */
  readonly #attached = new Map<unknown, unknown>();
  /** Of the GPU, yet to come. */
  readonly #answers = new Set<Promise<unknown>>();
  #closed = false;

  #gpu: GPUDevice;
  readonly #request: () => Promise<GPUDevice>;

  /**
   * For openDevice(), which asks the adapter for all its limits and for the features that are used; `request` asks for
   * another such device.
   */
  constructor(
    gpu: GPUDevice,
    readonly adapter: GPUAdapterInfo,
    readonly engine: Engine,
    options: {
      profile: boolean;
      choice: KernelChoice;
      tunings?: Tunings | undefined;
      request: () => Promise<GPUDevice>;
    },
  ) {
    this.#gpu = gpu;
    this.#request = options.request;
    this.choice = options.choice;
    this.tunings = options.tunings ?? new Tunings(tunedAdapter(engine, adapter));
    this.limits = gpu.limits;
    this.traits = traitsOf(gpu, adapter, engine);
    this.buffers = new Buffers(this);
    this.pipelines = new Pipelines(this);
    this.profiler = options.profile ? new Profiler(this) : undefined;
    this.#listen(gpu);
    opened.push(this);
  }

  /** True once it was disposed of. */
  get isClosed(): boolean {
    return this.#closed;
  }

  /** WebGPU's own device: another one after `reopen`. */
  get gpu(): GPUDevice {
    return this.#gpu;
  }

  /** Takes a new device of the same adapter in place of one that was lost, with all that was in its memory. */
  async reopen(): Promise<void> {
    const gpu = await this.#request();
    for (const forget of this.losing) forget();
    this.buffers.forget();
    this.pipelines.forget();
    this.profiler?.forget();
    this.#answers.clear();
    this.#failure = undefined;
    this.#gpu = gpu;
    this.#listen(gpu);
  }

  #listen(gpu: GPUDevice): void {
    gpu.addEventListener("uncapturederror", (event) => {
      event.preventDefault?.();
      const { error } = event as GPUUncapturedErrorEvent;
      // Dawn's error classes are not the global ones, so they are told apart by name.
      const outOfMemory = error.constructor.name === "GPUOutOfMemoryError";
      const Failure = outOfMemory ? OutOfMemoryError : GPUCommandError;
      const kind = outOfMemory ? "out of memory" : "refused command";
      const message = error.message.trim().replaceAll(/\s+/g, " ");
      const failure = new Failure(`Cannot run on ${this.adapterName}: ${kind}: ${message}`);
      // What uses a buffer that was not allocated is refused, and Dawn says so first.
      Promise.all(this.#answers).then(() => gpu === this.#gpu && this.fail(failure));
    });
    gpu.lost.then((info) => {
      if (this.#closed || gpu !== this.#gpu) return;
      const [reason] = (info.message.trim() || info.reason).split("\n"); // below, Dawn says where in its sources
      this.#failure = new DeviceLostError(
        `Cannot go on: the device ${this.adapterName} was lost (${reason}) while ${this.#running}; open a new one`,
      );
    });
  }

  /** The adapter's own name for itself, e.g. "llvmpipe-llvm-15-0-6-256-bits". */
  get adapterName(): string {
    const { description, device, vendor, architecture } = this.adapter;
    const named = /[a-z]/i.test(device) ? device.replace(/-+$/, "") : description; // Deno's engine gives a number
    return named || [vendor, architecture].filter(Boolean).join(" ") || "unnamed adapter";
  }

  /** One line for people: engine, adapter, driver, lanes, dtypes. */
  describe(): string {
    const { lanes, f16 } = this.traits;
    const engine = this.engine === "dawn" ? "Dawn" : "Deno's WebGPU";
    const driver = this.adapter.description && this.adapter.description !== this.adapterName
      ? `, ${this.adapter.description}`
      : "";
    const subgroups = lanes ? `, ${lanes} lanes a subgroup` : "";
    return `${engine} on ${this.adapterName}${driver}${subgroups}, f32${f16 ? " and f16" : ""}`;
  }

  /** The same as describe(). */
  toString(): string {
    return this.describe();
  }

  /** What Deno's console and REPL show. */
  [Symbol.for("Deno.customInspect")](): string {
    return `Device ${this.describe()}`;
  }

  /** The same for Node's. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `Device ${this.describe()}`;
  }

  /**
   * The traced graphs as text: their dispatches, fused nodes, kernels, inputs, and where each output lies.
   */
  dump(): string {
    return this.describeGraphs();
  }

  /** One row per kernel and module path, the longest first; for devices opened with `profile: true`. */
  async timings(): Promise<TimingRow[]> {
    if (!this.profiler) throw new Error("Cannot list timings: open the device with { profile: true }");
    return await this.profiler.rows();
  }

  /** The one object of a class that layers above keep for the device; made when it is first asked for. */
  attached<T>(type: new (device: Device) => T): T {
    let one = this.#attached.get(type) as T | undefined;
    if (!one) this.#attached.set(type, one = new type(this));
    return one;
  }

  /** Takes note of what went wrong, for the next check. The first failure counts. */
  fail(failure: Error): void {
    if (this.#failure instanceof DeviceLostError) return;
    this.#failure ??= failure;
  }

  /** Waits for an answer of the GPU before anything is told that may follow from it. */
  await(answer: Promise<unknown>): void {
    const told: Promise<unknown> = answer.catch(() => {}).finally(() => this.#answers.delete(told)); // a loss is told otherwise
    this.#answers.add(told);
  }

  /** Waits until a loss is told: Deno's engine does so after what fails by it. */
  losses(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve));
  }

  /** Throws what went wrong since the last check: a lost device, a refused command, no memory. */
  assertAlive(): void {
    if (this.#closed) throw new DeviceLostError("Cannot use the device: it was closed; open a new one");
    const failure = this.#failure;
    if (!failure) return;
    if (!(failure instanceof DeviceLostError)) this.#failure = undefined; // a refused command is told once
    throw failure;
  }

  /** Submits commands; `what` they do, e.g. "running CLIPTextModel", is told where the device is lost. */
  submit(encoder: GPUCommandEncoder, what: string): void {
    this.#running = what;
    this.gpu.queue.submit([encoder.finish()]);
  }

  /** Waits until all submitted work is done, then tells what went wrong in it. */
  async idle(): Promise<void> {
    this.assertAlive();
    await this.gpu.queue.onSubmittedWorkDone();
    await Promise.all(this.#answers);
    this.assertAlive();
  }

  /** Waits for all that follows from a failure that was told, and forgets it: commands on what was not allocated fail too. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 2; turn++) { // Deno's engine tells some of it after the work
      await this.idle().catch(() => {});
      await this.losses();
    }
  }

  /** Waits for what the GPU was asked; throws what went wrong in place of what follows from it. */
  async told(answer: Promise<unknown>): Promise<void> {
    try {
      await answer;
      await Promise.all(this.#answers);
      this.assertAlive();
    } catch (error) {
      await this.losses();
      this.assertAlive();
      throw error;
    }
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
      await this.told(staging.mapAsync(GPUMapMode.READ));
      return staging.getMappedRange(0, bytes).slice(0);
    } finally {
      this.buffers.destroy(staging);
    }
  }

  /** Frees everything. A second call does nothing. */
  [Symbol.dispose](): void {
    if (this.#closed) return;
    for (const clean of this.closing) clean();
    this.#closed = true;
    this.buffers.destroyAll();
    this.gpu.destroy();
    if (this.engine === "dawn") settleDawn();
    opened.splice(opened.indexOf(this), 1);
  }
}

/** Those that are open, in the order in which they opened. */
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
