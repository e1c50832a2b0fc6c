import { DeviceLostError, GPUCommandError, OutOfMemoryError } from "./errors.ts";
import { type Engine, type Traits, traitsOf } from "./traits.ts";

/** Milliseconds that the host spent on a device's work since it was opened. */
export interface HostTimes {
  /** To fuse what was recorded and to choose kernels. */
  fuse: number;
  /** Waiting for kernels that are compiled or measured. */
  prepare: number;
  /** To write commands. */
  encode: number;
  /** To hand them to the driver. */
  submit: number;
  /** Waiting for the GPU, or for values from it. */
  wait: number;
}

/**
 * WebGPU's device with its adapter's capabilities and its failures: all that the parts of a `Device`
 * (buffers, pipelines, profiler) need to know of it.
 */
export abstract class DeviceBase {
  /** All that the adapter allows: a WebGPU device has the least by default. Of the new device after `reopen`, never less. */
  limits: GPUSupportedLimits;
  /** Read off the adapter once, when the device opens. */
  readonly traits: Traits;
  /** Time of the host, for profiles. */
  readonly hostTimes: HostTimes = { fuse: 0, prepare: 0, encode: 0, submit: 0, wait: 0 };
  /** Those that wait for the GPU now, and since when the first of them does. */
  #waiting = 0;
  #waitsSince = 0;
  /** Set where the device is disposed of. */
  protected closed = false;
  /** The work of the last submission, for the message of a loss. */
  #running = "idle";
  /** The first thing that went wrong since the last check. */
  #failure: Error | undefined;
  /** Pending answers of the GPU, which may be failures. */
  readonly #answers = new Set<Promise<unknown>>();
  #gpu: GPUDevice;

  /** For the device itself. */
  constructor(gpu: GPUDevice, readonly adapter: GPUAdapterInfo, readonly engine: Engine) {
    this.traits = traitsOf(gpu, adapter, engine);
    this.#gpu = gpu;
    this.limits = gpu.limits;
    this.#listen(gpu);
  }

  /** True once it was disposed of. */
  get isClosed(): boolean {
    return this.closed;
  }

  /** WebGPU's own device: another one after `reopen`. */
  get gpu(): GPUDevice {
    return this.#gpu;
  }

  /** Takes a new device in place of one that was lost. */
  protected connect(gpu: GPUDevice): void {
    this.#answers.clear();
    this.#failure = undefined;
    this.#gpu = gpu;
    this.limits = gpu.limits;
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
      // Commands that use a buffer that was not allocated are refused, and Dawn reports that first.
      Promise.all(this.#answers).then(() => gpu === this.#gpu && this.fail(failure));
    });
    gpu.lost.then((info) => {
      if (this.closed || gpu !== this.#gpu) return;
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

  /** The text that Deno's console and REPL show. */
  [Symbol.for("Deno.customInspect")](): string {
    return `Device ${this.describe()}`;
  }

  /** The text that Node's console shows, the same. */
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return `Device ${this.describe()}`;
  }

  /** Takes note of what went wrong, for the next check. The first failure counts. */
  fail(failure: Error): void {
    if (this.#failure instanceof DeviceLostError) return;
    this.#failure ??= failure;
  }

  /**
   * Takes note of an answer of the GPU that may be a failure: later failures, which may follow from it, are
   * reported after it.
   */
  track(answer: Promise<unknown>): void {
    const settled: Promise<unknown> = answer.catch(() => {}).finally(() => this.#answers.delete(settled)); // a loss is reported by `lost`
    this.#answers.add(settled);
  }

  /** Waits until a loss is reported: Deno's engine does so after what fails by it. */
  lossReported(): Promise<void> {
    return new Promise((resolve) => setTimeout(resolve));
  }

  /** Throws what went wrong since the last check: a lost device, a refused command, no memory. */
  assertAlive(): void {
    if (this.closed) throw new DeviceLostError("Cannot use the device: it was closed; open a new one");
    const failure = this.#failure;
    if (!failure) return;
    if (!(failure instanceof DeviceLostError)) this.#failure = undefined; // a refused command is reported once
    throw failure;
  }

  /**
   * Counts time of the host, as performance.now() has it, less the ms `within` that count as something else.
   */
  spend(kind: keyof HostTimes, start: number, end: number, within = 0): void {
    this.hostTimes[kind] += end - start - within;
  }

  /**
   * Submits commands; `what` they do, e.g. "running CLIPTextModel", is named where the device is lost.
   * Returns when they were handed over, by performance.now().
   */
  submit(encoder: GPUCommandEncoder, what: string): number {
    this.#running = what;
    const start = performance.now();
    const commands = encoder.finish();
    const submitted = performance.now();
    this.gpu.queue.submit([commands]);
    this.spend("submit", start, performance.now());
    return submitted;
  }

  /**
   * Ends when all work submitted so far is done; throws what went wrong in it. Its time counts as no wait.
   */
  async finished(): Promise<void> {
    this.assertAlive();
    await this.gpu.queue.onSubmittedWorkDone().catch((error) => this.explain(error));
    await Promise.all(this.#answers);
    this.assertAlive();
  }

  /** Waits until all submitted work is done; throws what went wrong in it. */
  async idle(): Promise<void> {
    await this.waitFor(this.finished());
  }

  /** Waits for the GPU, while the host does nothing else: the time counts once, however many wait. */
  async waitFor<T>(answer: Promise<T>): Promise<T> {
    if (this.#waiting++ === 0) this.#waitsSince = performance.now();
    try {
      return await answer;
    } finally {
      if (--this.#waiting === 0) this.spend("wait", this.#waitsSince, performance.now());
    }
  }

  /**
   * Waits for all that follows from a failure that was thrown, and forgets it: commands on what was not
   * allocated fail too.
   */
  async settle(): Promise<void> {
    for (let round = 0; round < 2; round++) { // Deno's engine reports some of it after the work
      await this.idle().catch(() => {});
      await this.lossReported();
    }
  }

  /**
   * Waits for an answer of the GPU. Where it fails, throws what went wrong first, of which it is a
   * consequence.
   */
  async outcome<T>(answer: Promise<T>): Promise<T> {
    try {
      const value = await this.waitFor(answer);
      await Promise.all(this.#answers);
      this.assertAlive();
      return value;
    } catch (error) {
      return await this.explain(error);
    }
  }

  /** Throws the loss or other failure that WebGPU's own error follows from; if there is none, that error. */
  async explain(error: unknown): Promise<never> {
    await this.lossReported();
    this.assertAlive();
    throw error;
  }
}
