import type { Checkpoint, TensorInfo } from "../formats/checkpoint.ts";
import { isNumeric, toFloats } from "../formats/numbers.ts";
import { PIECE } from "./converter.ts";
import { blockOf, bytesFor, elementsIn } from "../formats/stored_dtype.ts";

/**
 * A table of embeddings that stays on the host, in the type of its file: a text needs a few rows only of a
 * vocabulary, which may be larger than the largest buffer.
 */
export class HostTable {
  /** The tensor in the checkpoint. */
  readonly info: TensorInfo;
  #bytes: Uint8Array<ArrayBuffer> | undefined;
  /** The scale of its numbers: one for all, or one a row. */
  #scale: Float32Array | undefined;

  /** For a table [V, D] of V tokens. */
  constructor(info: TensorInfo) {
    const { name, dtype, shape: [, D] } = info;
    if (!/^(B?F|Q)/.test(dtype) || !isNumeric(dtype)) {
      throw new TypeError(
        `Cannot load "${name}": expected a table of floating-point numbers or blocks, got ${dtype}`,
      );
    }
    if (D! % blockOf(dtype).elements !== 0) {
      throw new RangeError(
        `Cannot load "${name}": expected rows of whole ${dtype} blocks, got ${D} elements a row`,
      );
    }
    this.info = info;
  }

  /** Rows of tokens that were added to the vocabulary, by their ids. */
  readonly added: Map<number, Float32Array> = new Map();

  /** True for ids that have a row. */
  has(id: number): boolean {
    return Number.isInteger(id) && id >= 0 && id < this.info.shape[0]! || this.added.has(id);
  }

  /** True while the rows are in memory. */
  get filled(): boolean {
    return this.#bytes !== undefined;
  }

  /** Reads all rows. */
  async fill(checkpoint: Checkpoint, signal?: AbortSignal): Promise<void> {
    const { bytes, dtype } = this.info;
    const block = blockOf(dtype);
    const piece = Math.floor(PIECE / block.bytes) * block.bytes;
    const all = new Uint8Array(bytes);
    for (let at = 0; at < bytes; at += piece) {
      signal?.throwIfAborted();
      const length = Math.min(piece, bytes - at);
      await checkpoint.fill(this.info, elementsIn(dtype, at), all.subarray(at, at + length));
    }
    this.#scale = await checkpoint.scaleOf(this.info);
    this.#bytes = all;
  }

  /** The rows of some tokens, one after another. → [ids.length, D] */
  rows(ids: readonly number[]): Float32Array<ArrayBuffer> {
    const { name, dtype, shape: [, D] } = this.info;
    if (!this.#bytes) {
      throw new Error(`Cannot read "${name}": its rows are not in memory; load the model first`);
    }
    const length = bytesFor(dtype, D!);
    const rows = new Float32Array(ids.length * D!);
    for (const [i, id] of ids.entries()) {
      const added = this.added.get(id);
      if (added) {
        rows.set(added, i * D!);
        continue;
      }
      const row = toFloats(this.#bytes.slice(id * length, (id + 1) * length), dtype);
      const scale = this.#scale?.[this.#scale.length === 1 ? 0 : id];
      rows.set(scale === undefined ? row : row.map((x) => x * scale), i * D!);
    }
    return rows;
  }

  /** Frees the memory. */
  release(): void {
    this.#bytes = undefined;
    this.#scale = undefined;
  }
}
