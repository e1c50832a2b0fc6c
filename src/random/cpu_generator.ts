import { normalPair, normalPairF32 } from "./box_muller.ts";
import {
  checkCount,
  floatArray,
  type FloatArrays,
  type FloatType,
  type TorchGenerator,
} from "./generator.ts";
import { log1p } from "./log1p.ts";
import { MT19937 } from "./mt19937.ts";

/** Normal values are made sixteen at a time once there are as many; torch makes fewer one by one. */
const BLOCK = 16;

/** torch's CPU stream (aten/src/ATen/native/cpu/DistributionTemplates.h): MT19937 and Box-Muller. */
export class TorchCpuGenerator implements TorchGenerator {
  /** The seed as torch keeps it; the Mersenne Twister sees its low 32 bits. */
  readonly seed: bigint;
  #bits: MT19937;
  /** The second value of the last pair made one by one. It waits across calls, whatever they draw. */
  #waiting: number | undefined;

  constructor(seed: bigint) {
    this.seed = seed;
    this.#bits = new MT19937(Number(seed & 0xffffffffn));
  }

  /** Normal values with mean 0 and variance 1, as `torch.randn`. */
  randn<T extends FloatType = "f32">(count: number, dtype: T = "f32" as T): FloatArrays[T] {
    if (count < BLOCK) return floatArray(count, dtype).map(() => this.#normal(dtype)) as FloatArrays[T];

    const values = floatArray(count, dtype === "f64" ? "f64" : "f32"); // f16 is rounded from f32 at the end
    for (let first = 0; first + BLOCK <= count; first += BLOCK) this.#fillBlock(values, first, dtype);
    if (count % BLOCK > 0) {
      // The last sixteen are drawn anew; except for f16, torch has by then drawn uniforms for the ragged end too.
      if (dtype !== "f16") { for (let i = 0; i < count % BLOCK; i++) this.#uniform(dtype); }
      this.#fillBlock(values, count - BLOCK, dtype);
    }
    return (dtype === "f16" ? new Float16Array(values) : values) as FloatArrays[T];
  }

  /** Uniform values in [0, 1), as `torch.rand`. */
  rand<T extends FloatType = "f32">(count: number, dtype: T = "f32" as T): FloatArrays[T] {
    const values = floatArray(count, dtype);
    for (let i = 0; i < count; i++) values[i] = this.#uniform(dtype);
    if (dtype !== "f16") return values;
    return values.map((x) => x === 1 ? 0 : x) as FloatArrays[T]; // what rounded up to 1 becomes 0
  }

  /** Whole numbers in [low, high), as `torch.randint`. */
  randint(low: number, high: number, count: number): number[] {
    checkCount(count);
    const range = high - low;
    if (![low, high, range].every(Number.isSafeInteger) || range <= 0) {
      throw new RangeError(
        `Cannot draw integers from ${low} to ${high}: expected safe integers, the first below the second`,
      );
    }
    if (range < 2 ** 28) return Array.from({ length: count }, () => low + this.#bits.uint32() % range);
    return Array.from({ length: count }, () => low + Number(this.#bits.uint64() % BigInt(range)));
  }

  /** The numbers 0 to n − 1 in random order (Fisher & Yates), as `torch.randperm`. */
  randperm(n: number): number[] {
    checkCount(n);
    const order = Array.from({ length: n }, (_, i) => i);
    for (let i = 0; i < n - 1; i++) {
      const j = i + this.#bits.uint32() % (n - i);
      [order[i], order[j]] = [order[j]!, order[i]!];
    }
    return order;
  }

  /** A second generator that goes on from the same place. */
  clone(): TorchCpuGenerator {
    const copy = new TorchCpuGenerator(this.seed);
    copy.#bits = this.#bits.clone();
    copy.#waiting = this.#waiting;
    return copy;
  }

  /** A generator that begins with another seed. */
  withSeed(seed: bigint): TorchCpuGenerator {
    return new TorchCpuGenerator(seed);
  }

  /** 24 random bits for f32 and f16, 53 for f64. */
  #uniform(dtype: FloatType): number {
    return dtype === "f64" ? this.#bits.uint53() * 2 ** -53 : (this.#bits.uint32() & 0xffffff) * 2 ** -24;
  }

  /** One normal value, made in double precision whatever the dtype. */
  #normal(dtype: FloatType): number {
    let value = this.#waiting;
    if (value === undefined) {
      const angle = 2 * Math.PI * this.#uniform("f64");
      const radius = Math.sqrt(-2 * log1p(-this.#uniform("f64")));
      value = radius * Math.cos(angle);
      this.#waiting = radius * Math.sin(angle);
    } else {
      this.#waiting = undefined;
    }
    return dtype === "f64" ? value : Math.fround(value); // f16 is rounded twice, as in torch
  }

  /** Sixteen normal values from sixteen uniform ones, in place: these may be hundreds of thousands. */
  #fillBlock(values: Float32Array | Float64Array, first: number, dtype: FloatType): void {
    const pair = dtype === "f64" ? normalPair : normalPairF32;
    const half = BLOCK / 2;
    for (let i = first; i < first + BLOCK; i++) values[i] = this.#uniform(dtype);
    for (let i = first; i < first + half; i++) {
      const [cos, sin] = pair(values[i]!, values[i + half]!);
      values[i] = cos;
      values[i + half] = sin;
    }
  }
}
