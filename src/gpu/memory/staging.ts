import { alignUp } from "./buffers.ts";
import type { Device } from "../device.ts";

/** Mapped memory for the host to write, which the next flush sends. */
export interface Room {
  /** Zeros or what was sent before. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Its first byte in the buffer that is sent. */
  readonly offset: number;
}

/** A buffer of the ring. */
interface Slot {
  buffer: GPUBuffer;
  /** The memory, once the host may write. */
  mapping: Promise<ArrayBuffer>;
}

const SLOTS = 4; // while one is written, the others are sent
const ALIGNMENT = 256; // of bindings, on any adapter
const LANDING = GPUBufferUsage.STORAGE | GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST;

/**
 * Uploads much data through a ring of mapped buffers: the host writes them without a copy, and waits only where all of
 * them are still being sent. Copies and dispatches that use the data go with the next flush.
 */
export class Staging {
  readonly #device: Device;
  readonly #label: string;
  readonly #size: number;
  readonly #ring: Slot[] = [];
  #current: { slot: Slot; range: ArrayBuffer; end: number } | undefined;
  #landing: GPUBuffer | undefined;
  readonly #buffers = new Set<GPUBuffer>();
  #copies: ((encoder: GPUCommandEncoder, buffer: GPUBuffer) => void)[] = [];
  #dispatches: ((pass: GPUComputePassEncoder, landing: GPUBuffer) => void)[] = [];

  /** A ring of buffers of `size` bytes, or more where one room is larger. */
  constructor(device: Device, label: string, size: number) {
    this.#device = device;
    this.#label = label;
    this.#size = size;
  }

  /**
   * Room for some bytes in the current buffer. A buffer without enough room left is flushed, and another one taken:
   * so record the commands that use a room before you ask for the next.
   */
  async room(bytes: number): Promise<Room> {
    if (this.#current && this.#current.end + bytes > this.#current.range.byteLength) await this.flush();
    const { range, end } = this.#current ??= await this.#next(bytes);
    this.#current.end = alignUp(end + bytes, ALIGNMENT);
    return { bytes: new Uint8Array(range, end, bytes), offset: end };
  }

  /** Copies a room straight to its place. Bytes and places are multiples of 4. */
  copy({ bytes: { length }, offset }: Room, target: GPUBuffer, at: number): void {
    this.#copies.push((encoder, buffer) => encoder.copyBufferToBuffer(buffer, offset, target, at, length));
  }

  /** Records a dispatch that reads rooms. It finds them in `landing`, a copy of the buffer in the GPU's own memory. */
  dispatch(encode: (pass: GPUComputePassEncoder, landing: GPUBuffer) => void): void {
    this.#dispatches.push(encode);
  }

  /** Sends what was written. Does not wait for the GPU, but for the news of a loss. */
  async flush(): Promise<void> {
    try {
      this.#send();
    } catch (error) { // Deno's engine throws where the device was lost, before it tells so
      await this.#device.explain(error);
    }
  }

  #send(): void {
    if (!this.#current) return;
    this.#device.assertAlive(); // a closed device would never report that a buffer is mapped
    const { slot, end } = this.#current;
    this.#current = undefined;
    slot.buffer.unmap();
    const encoder = this.#device.gpu.createCommandEncoder({ label: this.#label });
    for (const copy of this.#copies.splice(0)) copy(encoder, slot.buffer);
    const dispatches = this.#dispatches.splice(0);
    if (dispatches.length) {
      const landing = this.#land(slot.buffer.size);
      encoder.copyBufferToBuffer(slot.buffer, 0, landing, 0, Math.min(end, slot.buffer.size));
      const pass = encoder.beginComputePass({ label: this.#label });
      for (const encode of dispatches) encode(pass, landing);
      pass.end();
    }
    this.#device.submit(encoder, this.#label);
    slot.mapping = mapping(slot.buffer);
    this.#ring.push(slot);
    this.#device.assertAlive();
  }

  /** The GPU's own buffer for what is sent. */
  #land(size: number): GPUBuffer {
    if (this.#landing && this.#landing.size >= size) return this.#landing;
    if (this.#landing) this.#free(this.#landing);
    this.#landing = this.#device.buffers.create("staged data", size, LANDING);
    this.#buffers.add(this.#landing);
    return this.#landing;
  }

  /** A buffer to write with room for so many bytes: a new one, or the one that was sent first. */
  async #next(bytes: number): Promise<{ slot: Slot; range: ArrayBuffer; end: number }> {
    let slot = this.#ring.length < SLOTS ? undefined : this.#ring.shift()!;
    if (slot && slot.buffer.size < bytes) {
      this.#free(slot.buffer);
      slot = undefined;
    }
    slot ??= this.#add(Math.max(this.#size, bytes));
    return { slot, range: await this.#device.outcome(slot.mapping), end: 0 };
  }

  #add(size: number): Slot {
    const buffer = this.#device.buffers.create(
      "staging",
      size,
      GPUBufferUsage.MAP_WRITE | GPUBufferUsage.COPY_SRC,
    );
    this.#buffers.add(buffer);
    return { buffer, mapping: mapping(buffer) };
  }

  #free(buffer: GPUBuffer): void {
    this.#buffers.delete(buffer);
    this.#device.buffers.destroy(buffer);
  }

  /** Gives the memory back. What was not flushed is not sent. */
  release(): void {
    for (const buffer of [...this.#buffers]) this.#free(buffer);
    this.#current = undefined;
  }
}

function mapping(buffer: GPUBuffer): Promise<ArrayBuffer> {
  const mapped = buffer.mapAsync(GPUMapMode.WRITE).then(() => buffer.getMappedRange());
  mapped.catch(() => {}); // whoever waits for it gets the error
  return mapped;
}
