import type { Device } from "./device.ts";

let nextId = 1;

/** A piece of a GPU buffer: what a tensor's elements lie in. */
export class Storage {
  /** Never used again, so that a plan can tell whether an input is the one of its last run. */
  readonly id: number = nextId++;

  /** `bytes` of `buffer` from `offset` on; `free` runs once, at the release. */
  constructor(
    readonly buffer: GPUBuffer,
    readonly offset: number,
    readonly bytes: number,
    private readonly free?: () => void,
  ) {}

  /** True once the memory was given back. */
  released = false;

  /** Gives the memory back. Commands already recorded still run: a release is ordered after them. */
  release(): void {
    if (this.released) return;
    this.released = true;
    this.free?.();
  }
}

/** Bytes rounded up to a multiple of `to`, a power of two. */
export function alignUp(bytes: number, to: number): number {
  return Math.ceil(bytes / to) * to;
}

/** Counts and frees the GPU buffers of one device, so that leaks show. */
export class Buffers {
  readonly #device: Device;
  readonly #live = new Map<GPUBuffer, number>();
  readonly #collected: FinalizationRegistry<GPUBuffer>;
  #bytes = 0;
  #peak = 0;

  /** For the device itself, which frees all of them when it closes. */
  constructor(device: Device) {
    this.#device = device;
    this.#collected = new FinalizationRegistry((buffer) => this.destroy(buffer));
  }

  /** A new buffer of at least `bytes`. Throws a RangeError beyond the adapter's limit. */
  create(label: string, bytes: number, usage: GPUBufferUsageFlags): GPUBuffer {
    const device = this.#device;
    device.assertAlive();
    const size = Math.max(16, alignUp(bytes, 16));
    if (size > device.limits.maxBufferSize) {
      throw new RangeError(
        `Cannot allocate ${label}: expected at most ${device.limits.maxBufferSize} bytes in a buffer of ` +
          `${device.adapterName}, got ${size}; use a smaller size, batch or dtype`,
      );
    }
    const buffer = device.gpu.createBuffer({ label, size, usage });
    this.#live.set(buffer, size);
    this.#bytes += size;
    this.#peak = Math.max(this.#peak, this.#bytes);
    return buffer;
  }

  /** A storage in a buffer of its own, freed when it is released or collected as garbage. */
  allocate(label: string, bytes: number): Storage {
    const binding = this.#device.limits.maxStorageBufferBindingSize;
    if (bytes > binding) {
      throw new RangeError(
        `Cannot allocate ${label}: expected at most ${binding} bytes in one tensor on ` +
          `${this.#device.adapterName}, got ${bytes}; use a smaller size or batch`,
      );
    }
    const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
    const buffer = this.create(label, bytes, usage);
    const storage = new Storage(buffer, 0, bytes, () => {
      this.#collected.unregister(buffer);
      this.destroy(buffer);
    });
    this.#collected.register(storage, buffer, buffer);
    return storage;
  }

  /** Frees a buffer once the commands submitted so far are done with it. */
  destroy(buffer: GPUBuffer): void {
    const size = this.#live.get(buffer);
    if (size === undefined) return;
    this.#live.delete(buffer);
    this.#bytes -= size;
    buffer.destroy();
  }

  /** Frees every buffer. */
  destroyAll(): void {
    for (const buffer of [...this.#live.keys()]) this.destroy(buffer);
  }

  /** Live buffers, their bytes, and the most bytes that were live at once. */
  usage(): { count: number; bytes: number; peak: number } {
    return { count: this.#live.size, bytes: this.#bytes, peak: this.#peak };
  }
}
