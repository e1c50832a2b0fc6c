import { alignUp } from "./buffers.ts";
import type { Device } from "./device.ts";

/** Where the uniforms of a submission lie; `next` gives one after the other. */
export interface Uniforms {
  next(): GPUBufferBinding;
}

/** One buffer for the uniforms of all steps of a submission, used again by the next. */
export class LoopUniforms {
  readonly #device: Device;
  #buffer: GPUBuffer | undefined;

  constructor(device: Device) {
    this.#device = device;
  }

  /** Forgets the buffer of a GPU that was lost. */
  forget(): void {
    this.#buffer = undefined;
  }

  /** Writes blocks behind each other. */
  write(blocks: readonly Uint8Array<ArrayBuffer>[]): Uniforms {
    const { buffers, gpu, limits } = this.#device;
    const step = Math.max(16, limits.minUniformBufferOffsetAlignment);
    const total = blocks.reduce((sum, block) => sum + alignUp(block.length, step), 0);
    const bytes = new Uint8Array(Math.max(16, total));
    const offsets: number[] = [];
    let end = 0;
    for (const block of blocks) {
      offsets.push(end);
      bytes.set(block, end);
      end += alignUp(block.length, step);
    }
    if (!this.#buffer || this.#buffer.size < bytes.length) {
      if (this.#buffer) buffers.destroy(this.#buffer);
      const usage = GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;
      this.#buffer = buffers.create("loop uniforms", Math.max(65536, 2 * bytes.length), usage);
    }
    gpu.queue.writeBuffer(this.#buffer, 0, bytes);
    const buffer = this.#buffer;
    let i = 0;
    return { next: () => ({ buffer, offset: offsets[i]!, size: blocks[i++]!.length }) };
  }
}
