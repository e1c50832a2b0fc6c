import type { Shape } from "../core/shape.ts";

/** Host arrays of random fractions, by the dtype that torch would draw. */
export interface FloatArrays {
  /** 32 bits, what every sampling loop uses. */
  f32: Float32Array<ArrayBuffer>;
  /** 64 bits; on the host only. */
  f64: Float64Array<ArrayBuffer>;
  /** 16 bits; a stream of its own, not the f32 one rounded. */
  f16: Float16Array<ArrayBuffer>;
}

/** Names of the dtypes that random fractions come in. */
export type FloatType = keyof FloatArrays;

/** A stream of random numbers, value for value that of a `torch.Generator`. Each draw moves it on. */
export interface TorchGenerator {
  /** The seed as torch keeps it: 64 bits without a sign. */
  readonly seed: bigint;
  /** Normal values with mean 0 and variance 1. */
  randn<T extends FloatType = "f32">(count: number, dtype?: T): FloatArrays[T];
  /**
   * Noise that a run begins with, where that is not simply the next normal values, e.g. as it is mixed with another seed's. A list
   * of streams is asked for a row each, [C, h, w]; one stream for all rows, [B, C, h, w].
   */
  firstNoise?(shape: Shape): Float32Array;
  /** Uniform values from 0 up to, but not including, 1. */
  rand<T extends FloatType = "f32">(count: number, dtype?: T): FloatArrays[T];
  /** Whole numbers from `low` up to, but not including, `high`. */
  randint(low: number, high: number, count: number): number[];
  /** The numbers 0 to n − 1 in random order. */
  randperm(n: number): number[];
  /** A second generator that goes on from the same place. */
  clone(): TorchGenerator;
  /** A generator of the same kind that begins with another seed, of 64 bits. */
  withSeed(seed: bigint): TorchGenerator;
}

/** An empty host array for `count` values of `dtype`. */
export function floatArray<T extends FloatType>(count: number, dtype: T): FloatArrays[T] {
  checkCount(count);
  const arrays = { f32: Float32Array, f64: Float64Array, f16: Float16Array };
  return new arrays[dtype](count) as FloatArrays[T];
}

/** Throws unless `count` values can be drawn. */
export function checkCount(count: number): void {
  if (!Number.isSafeInteger(count) || count < 0) {
    throw new RangeError(`Cannot draw ${count} random values: expected a whole number from 0`);
  }
}
