import { expectOptions } from "../core/error.ts";
import { TorchCpuGenerator } from "./cpu_generator.ts";
import { TorchCudaGenerator } from "./cuda_generator.ts";
import type { TorchGenerator } from "./generator.ts";

/** Which of torch's two streams to follow. */
export interface SeedOptions {
  /**
   * The device whose `torch.Generator` to equal;
   * "cpu" is what diffusers' examples use for one image everywhere.
   */
  like?: "cpu" | "cuda" | undefined;
}

/**
 * A generator whose numbers equal those of `torch.Generator(like).manual_seed(seed)`.
 *
 * @example
 * ```ts
 * import { manualSeed } from "denoise";
 *
 * const [first] = manualSeed(0).randn(4); // 1.5409960746765137, as in torch
 * ```
 */
export function manualSeed(seed: number | bigint, options: SeedOptions = {}): TorchGenerator {
  expectOptions("seed a generator", options, ["like"]);
  const { like = "cpu" } = options;
  const bits = seedBits(seed);
  if (like === "cpu") return new TorchCpuGenerator(bits);
  if (like === "cuda") return new TorchCudaGenerator(bits);
  throw new RangeError(`Cannot seed a generator like "${like}": expected "cpu" or "cuda"`);
}

/** A generator that nobody can foresee, for those who name no seed. */
export function randomSeed(): TorchGenerator {
  return manualSeed(crypto.getRandomValues(new BigUint64Array(1))[0]!);
}

/** The seed in 64 bits; negative ones become their two's complement, as in torch. */
function seedBits(seed: number | bigint): bigint {
  const whole = typeof seed === "bigint" ? seed : Number.isInteger(seed) ? BigInt(seed) : undefined;
  if (whole === undefined || whole < -(2n ** 63n) || whole >= 2n ** 64n) {
    throw new RangeError(
      `Cannot seed a generator: expected a whole number from -2^63 to 2^64 - 1, got ${seed}`,
    );
  }
  return BigInt.asUintN(64, whole);
}
