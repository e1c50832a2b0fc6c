import { floatArray, type FloatArrays, type FloatType, type TorchGenerator } from "./generator.ts";
import { philox } from "./philox.ts";

const WORKGROUP = 256;
/**
 * Threads that torch starts at most: 132 multiprocessors of 2048 (H100). Beyond as many values each thread
 * makes several, so larger draws depend on the card; none up to 196,608 (RTX 4090) does on any common one.
 */
const MAX_THREADS = 132 * 2048;
/** A thread makes four values from the four words of one Philox call. */
const WORDS = 4;

/**
 * torch's CUDA stream (aten/src/ATen/native/cuda/DistributionTemplates.h): Philox4x32-10, one stream a
 * thread. Normal values agree to about 1e-6, since a card's fast sine is not rounded as this one.
 */
export class TorchCudaGenerator implements TorchGenerator {
  /** The seed, and Philox's key. */
  readonly seed: bigint;
  #calls = 0; // Philox calls that every stream has behind it

  constructor(seed: bigint) {
    this.seed = seed;
  }

  /** Normal values with mean 0 and variance 1, as `torch.randn` on CUDA. */
  randn<T extends FloatType = "f32">(count: number, dtype: T = "f32" as T): FloatArrays[T] {
    return this.#draw(count, dtype, (a, b, c, d) => [...normalPair(a, b), ...normalPair(c, d)]);
  }

  /** Uniform values in [0, 1), as `torch.rand` on CUDA. */
  rand<T extends FloatType = "f32">(count: number, dtype: T = "f32" as T): FloatArrays[T] {
    const values = this.#draw(count, dtype, (...words) => words.map((word) => uniform(word, 1)));
    return values.map((x) => x === 1 ? 0 : x) as FloatArrays[T]; // curand's interval is (0, 1], torch's [0, 1)
  }

  /** Refuses: torch sorts and draws integers otherwise on CUDA. */
  randint(): number[] {
    throw new Error('Cannot draw integers like "cuda": expected randn or rand; use manualSeed(seed)');
  }

  /** Refuses: torch sorts random keys for this on CUDA. */
  randperm(): number[] {
    throw new Error('Cannot draw a permutation like "cuda": expected randn or rand; use manualSeed(seed)');
  }

  /** A second generator that goes on from the same place. */
  clone(): TorchCudaGenerator {
    const copy = new TorchCudaGenerator(this.seed);
    copy.#calls = this.#calls;
    return copy;
  }

  /** A generator that begins with another seed. */
  withSeed(seed: bigint): TorchCudaGenerator {
    return new TorchCudaGenerator(seed);
  }

  /** Value i + j · threads is the j-th that thread i makes. */
  #draw<T extends FloatType>(
    count: number,
    dtype: T,
    make: (a: number, b: number, c: number, d: number) => number[],
  ): FloatArrays[T] {
    if (dtype === "f64") {
      throw new TypeError('Cannot draw f64 like "cuda": expected f32 or f16; use manualSeed(seed)');
    }
    const values = floatArray(count, dtype);
    const threads = Math.min(MAX_THREADS, Math.ceil(count / WORKGROUP) * WORKGROUP);
    for (let first = 0; first < count; first += threads * WORDS, this.#calls++) {
      for (let thread = 0; thread < Math.min(threads, count - first); thread++) {
        const made = make(...philox(this.seed, thread, this.#calls));
        for (let j = 0, at = first + thread; j < WORDS && at < count; j++, at += threads) {
          values[at] = made[j]!;
        }
      }
    }
    return values;
  }
}

/** curand_uniform: 32 bits to the middle of their interval of (0, scale], in f32. */
function uniform(word: number, scale: number): number {
  const step = Math.fround(2 ** -32 * scale);
  return Math.fround(Math.fround(Math.fround(word) * step) + step / 2);
}

/** curand_normal2 by Box & Muller; the sine comes first. */
function normalPair(a: number, b: number): [number, number] {
  const radius = Math.fround(Math.sqrt(Math.fround(-2 * Math.fround(Math.log(uniform(a, 1))))));
  const angle = uniform(b, Math.fround(2 * Math.PI));
  return [radius * Math.fround(Math.sin(angle)), radius * Math.fround(Math.cos(angle))];
}
