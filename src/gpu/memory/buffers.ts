import type { DeviceBase } from "../device_base.ts";
import { OutOfMemoryError } from "../errors.ts";

let nextId = 1;

/** A piece of a GPU buffer that holds a tensor's elements. */
export class Storage {
  /** Never used again: by it a plan knows whether an input is the one of its last run. */
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

const LISTED = 4; // parts that an error names

/** Bytes for people. */
function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}

/** Bytes rounded up to a multiple of `to`, a power of two. */
export function alignUp(bytes: number, to: number): number {
  return Math.ceil(bytes / to) * to;
}

/** Counts and frees the GPU buffers of one device, so that leaks show. */
export class Buffers {
  readonly #device: DeviceBase;
  readonly #live = new Map<GPUBuffer, { label: string; size: number }>();
  readonly #collected: FinalizationRegistry<GPUBuffer>;
  #bytes = 0;
  #peak = 0;
  /** Told of the bytes in use where they change. */
  onChange: ((bytes: number) => void) | undefined;

  /** For the device itself, which frees all of them when it closes. */
  constructor(device: DeviceBase) {
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
    const inUse = this.#bytes;
    device.gpu.pushErrorScope("out-of-memory");
    const buffer = device.gpu.createBuffer({ label, size, usage });
    device.track(
      device.gpu.popErrorScope().then((error) => {
        if (error) {
          device.fail(new OutOfMemoryError(this.#lack(buffer, label, size), { wanted: size, inUse }));
        }
      }),
    );
    this.#live.set(buffer, { label, size });
    this.#bytes += size;
    this.#peak = Math.max(this.#peak, this.#bytes);
    this.onChange?.(this.#bytes);
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
    const known = this.#live.get(buffer);
    if (!known) return;
    this.#live.delete(buffer);
    this.#bytes -= known.size;
    this.onChange?.(this.#bytes);
    buffer.destroy();
  }

  /** Forgets the buffers of a GPU that was lost. */
  forget(): void {
    this.#live.clear();
    this.#bytes = 0;
  }

  /** Frees every buffer. */
  destroyAll(): void {
    for (const buffer of [...this.#live.keys()]) this.destroy(buffer);
  }

  /** The message for a GPU that has no room for a buffer. */
  #lack(buffer: GPUBuffer, label: string, size: number): string {
    const parts = new Map<string, number>();
    for (const [other, live] of this.#live) {
      if (other === buffer) break; // those behind it came later
      const part = live.label.replace(/ \d+$/, "");
      parts.set(part, (parts.get(part) ?? 0) + live.size);
    }
    const inUse = [...parts.values()].reduce((sum, bytes) => sum + bytes, 0);
    const largest = [...parts].sort((a, b) => b[1] - a[1]).slice(0, LISTED);
    const list = largest.map(([part, bytes]) => `${part} ${megabytes(bytes)}`).join(", ");
    return `Cannot allocate ${label}: expected room for ${
      megabytes(size)
    } on ${this.#device.adapterName}, got none ` +
      `beside ${megabytes(inUse)} in use${
        list && ` (${list})`
      }; draw smaller pictures or fewer at once, or let ` +
      "models take less by the options memory, quantize or stream";
  }

  /** Live buffers, their bytes, and the most bytes that were live at once. */
  usage(): { count: number; bytes: number; peak: number } {
    return { count: this.#live.size, bytes: this.#bytes, peak: this.#peak };
  }
}
