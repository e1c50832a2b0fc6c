import type { TensorInfo } from "../../../io/formats/checkpoint.ts";
import type { TensorSource } from "../../../io/upload/converter.ts";

/** Numbers in memory that are sent as a tensor F32 of a file would be. */
export class FloatSource implements TensorSource {
  readonly #bytes: Uint8Array;

  /** For the values of one tensor, in row-major order. */
  constructor(values: Float32Array) {
    this.#bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  }

  /** `count` elements from element `first` on. */
  read(_info: TensorInfo, first: number, count: number): Promise<Uint8Array<ArrayBuffer>> {
    return Promise.resolve(this.#bytes.slice(4 * first, 4 * (first + count)));
  }

  /** The elements from `first` on, until the target is full. */
  fill(_info: TensorInfo, first: number, target: Uint8Array<ArrayBuffer>): Promise<void> {
    target.set(this.#bytes.subarray(4 * first, 4 * first + target.length));
    return Promise.resolve();
  }

  /** There is none. */
  scaleOf(): Promise<undefined> {
    return Promise.resolve(undefined);
  }
}
