import { openCheckpoint } from "../../src/io/formats/checkpoint.ts";

/** A stored tensor on the host; 64-bit integers become numbers. */
export interface HostTensor {
  readonly shape: readonly number[];
  readonly data: Float64Array;
  readonly dtype: string;
}

/** Reads all tensors of a file. */
export async function readTensors(path: string): Promise<Map<string, HostTensor>> {
  using checkpoint = await openCheckpoint(path);
  const result = new Map<string, HostTensor>();
  for (const [name, info] of checkpoint.tensors) {
    const count = info.shape.reduce((product, n) => product * n, 1);
    const bytes = await checkpoint.read(info, 0, count);
    result.set(name, { shape: info.shape, dtype: info.dtype, data: numbers(bytes, info.dtype, count) });
  }
  return result;
}

function numbers(bytes: Uint8Array, dtype: string, count: number): Float64Array {
  const { buffer } = bytes.slice();
  switch (dtype) {
    case "F32":
      return Float64Array.from(new Float32Array(buffer, 0, count));
    case "F16":
      return Float64Array.from(new Float16Array(buffer, 0, count));
    case "F64":
      return new Float64Array(buffer, 0, count);
    case "BF16":
      return Float64Array.from(
        new Float32Array(Uint32Array.from(new Uint16Array(buffer, 0, count), (v) => v << 16).buffer),
      );
    case "I64":
      return Float64Array.from(new BigInt64Array(buffer, 0, count), Number);
    case "I32":
      return Float64Array.from(new Int32Array(buffer, 0, count));
    case "U8":
    case "BOOL":
      return Float64Array.from(bytes.subarray(0, count));
  }
  throw new TypeError(`Cannot read ${dtype}: expected a type that the fixtures use`);
}

/** How far values are from what was expected. */
export interface Difference {
  /** Largest |a − b|. */
  readonly abs: number;
  /** Largest |a − b| over the largest finite |b|. */
  readonly rel: number;
  /** Where the largest difference is. */
  readonly index: number;
}

/** Compares values with what was expected; other lengths or one-sided NaN differ infinitely. */
export function difference(actual: ArrayLike<number>, expected: ArrayLike<number>): Difference {
  if (actual.length !== expected.length) return { abs: Infinity, rel: Infinity, index: -1 };
  let [abs, index, largest] = [0, 0, 0];
  for (let i = 0; i < expected.length; i++) {
    const [a, b] = [actual[i], expected[i]] as [number, number];
    if (Number.isFinite(b)) largest = Math.max(largest, Math.abs(b));
    const d = a === b || (Number.isNaN(a) && Number.isNaN(b)) ? 0 : Math.abs(a - b);
    if (d > abs || Number.isNaN(d)) [abs, index] = [Number.isNaN(d) ? Infinity : d, i];
  }
  return { abs, rel: abs === 0 ? 0 : abs / Math.max(largest, 1e-30), index };
}
