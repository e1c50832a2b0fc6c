import { expectOptions } from "../core/error.ts";
import { expf } from "../core/float32.ts";
import { type Tensor, tensor } from "../tensor/mod.ts";

/** Options of `timestepEmbedding`, named as in diffusers' get_timestep_embedding. */
export interface TimestepEmbeddingOptions {
  /** Values a timestep: half sines, half cosines, and a 0 at the end where it is odd. */
  dim: number;
  /** Cosines in front of sines. */
  flipSinToCos?: boolean | undefined;
  /** Taken from dim / 2 before it divides the exponents; 1 by default, in newer models 0. */
  downscaleFreqShift?: number | undefined;
  /** Factor on the angles. */
  scale?: number | undefined;
  /** The first frequency is 1, the last about 1 / maxPeriod; 10000 by default. */
  maxPeriod?: number | undefined;
}

const OPTIONS = ["dim", "flipSinToCos", "downscaleFreqShift", "scale", "maxPeriod"] as const;

/**
 * Sinusoidal features of timesteps (Vaswani et al. 2017; Ho et al. 2020) → [B, dim]. Made on the host with
 * torch's f32 roundings: angles reach thousands, where shaders may lose all digits.
 */
export function timestepEmbedding(timesteps: readonly number[], options: TimestepEmbeddingOptions): Tensor {
  expectOptions("embed timesteps", options, OPTIONS);
  const { dim, flipSinToCos = false, downscaleFreqShift = 1, scale = 1, maxPeriod = 10000 } = options;
  const f = Math.fround;
  const half = Math.floor(dim / 2);
  const step = f(-Math.log(maxPeriod));
  const values = new Float32Array(timesteps.length * dim);
  timesteps.forEach((t, row) => {
    for (let i = 0; i < half; i++) {
      const frequency = expf(f(f(step * i) / f(half - downscaleFreqShift)));
      const angle = f(scale * f(f(t) * frequency));
      const [first, second] = flipSinToCos
        ? [Math.cos(angle), Math.sin(angle)]
        : [Math.sin(angle), Math.cos(angle)];
      values[row * dim + i] = first;
      values[row * dim + half + i] = second;
    }
  });
  return tensor(values, [timesteps.length, dim]);
}
