import { alignUp } from "./buffers.ts";
import type { Device } from "../device.ts";

/** Blocks of uniforms behind each other in one buffer. */
export class Uniforms {
  readonly #device: Device;
  readonly #label: string;
  readonly #least: number;
  #buffer: GPUBuffer | undefined;

  /** A buffer of at least `least` bytes, made when blocks are written. */
  constructor(device: Device, label: string, least = 16) {
    this.#device = device;
    this.#label = label;
    this.#least = least;
  }

  /** Writes blocks over the earlier ones; returns the place of each. */
  write(blocks: readonly Uint8Array<ArrayBuffer>[]): GPUBufferBinding[] {
    if (blocks.length === 0) return [];
    const { buffers, gpu, limits } = this.#device;
    const alignment = Math.max(16, limits.minUniformBufferOffsetAlignment);
    let end = 0;
    const offsets = blocks.map(({ length }) =>
      (end += alignUp(length, alignment)) - alignUp(length, alignment)
    );
    if (!this.#buffer || this.#buffer.size < end) {
      this.release();
      const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
      this.#buffer = buffers.create(this.#label, Math.max(this.#least, end), usage);
    }
    const buffer = this.#buffer;
    const bytes = new Uint8Array(end);
    blocks.forEach((block, i) => bytes.set(block, offsets[i]));
    gpu.queue.writeBuffer(buffer, 0, bytes);
    return blocks.map(({ length: size }, i) => ({ buffer, offset: offsets[i]!, size }));
  }

  /** Forgets the buffer of a GPU that was lost. */
  forget(): void {
    this.#buffer = undefined;
  }

  /** Frees the buffer. */
  release(): void {
    if (this.#buffer) this.#device.buffers.destroy(this.#buffer);
    this.#buffer = undefined;
  }
}
