import type { Checkpoint, TensorInfo } from "./checkpoint.ts";
import { bytesOf } from "./checkpoint.ts";

const PIECE = 8 << 20; // bytes read at once

/**
 * A table that stays on the host, in the type of its file: of a vocabulary, which may be larger than an adapter binds
 * at once, a text needs a few rows only.
 */
export class HostTable {
  /** Its key, shape and type in the checkpoint. */
  readonly info: TensorInfo;
  #bytes: Uint8Array<ArrayBuffer> | undefined;

  /** For a table [V, D]. */
  constructor(info: TensorInfo) {
    if (!(info.dtype in readers)) {
      const known = Object.keys(readers).join(", ");
      throw new TypeError(`Cannot load "${info.name}": expected a table in ${known}, got ${info.dtype}`);
    }
    this.info = info;
  }

  /** Reads all rows. */
  async fill(checkpoint: Checkpoint, signal?: AbortSignal): Promise<void> {
    const { bytes, dtype } = this.info;
    const width = bytesOf(dtype);
    const all = new Uint8Array(bytes);
    for (let at = 0; at < bytes; at += PIECE) {
      signal?.throwIfAborted();
      const count = Math.min(PIECE, bytes - at) / width;
      all.set(await checkpoint.read(this.info, at / width, count), at);
    }
    this.#bytes = all;
  }

  /** Rows by their numbers, one after the other. */
  rows(ids: readonly number[]): Float32Array<ArrayBuffer> {
    const { name, dtype, shape: [, D] } = this.info;
    if (!this.#bytes) throw new Error(`Cannot read "${name}": the model was disposed; load it again`);
    const { buffer } = this.#bytes;
    const rows = new Float32Array(ids.length * D);
    for (const [i, id] of ids.entries()) rows.set(readers[dtype]!(buffer, id * D * bytesOf(dtype), D), i * D);
    return rows;
  }

  /** Gives the memory back. */
  release(): void {
    this.#bytes = undefined;
  }
}

type Reader = (buffer: ArrayBuffer, offset: number, count: number) => ArrayLike<number>;

/** Elements of each type as numbers. */
const readers: Partial<Record<TensorInfo["dtype"], Reader>> = {
  F32: (buffer, offset, count) => new Float32Array(buffer, offset, count),
  F16: (buffer, offset, count) => new Float16Array(buffer, offset, count),
  BF16: (buffer, offset, count) =>
    // the upper halves of F32
    new Float32Array(Uint32Array.from(new Uint16Array(buffer, offset, count), (half) => half << 16).buffer),
  F64: (buffer, offset, count) => new Float64Array(buffer, offset, count),
};
