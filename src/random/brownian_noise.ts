import { type Shape, size } from "../core/shape.ts";
import { type Tensor, tensor } from "../tensor/mod.ts";
import { BrownianTree } from "./brownian_tree.ts";
import { manualSeed, randomSeed } from "./manual_seed.ts";
import type { RandomOptions } from "./tensors.ts";

const f32 = Math.fround;

/** The shape of the noise, the σ between which it is asked for, and its seed. */
export interface BrownianNoiseOptions {
  /** Shape of each noise, [B, …]. */
  readonly shape: Shape;
  /** The smallest σ. */
  readonly sigmaMin: number;
  /** The largest σ. */
  readonly sigmaMax: number;
  /**
   * A seed, or a generator whose seed and kind are taken, for the whole tensor; or a list of generators, one for each row of
   * the first axis. Without one the noise differs from run to run.
   */
  readonly seed?: number | RandomOptions["generator"];
}

/**
 * Noise of unit variance that steps over σ share: the increments of one Brownian motion over σ, so that a step in two halves
 * gets the same noise as in one. As k-diffusion's class of this name with torchsde 0.2.6.
 */
export class BrownianTreeNoiseSampler {
  readonly #shape: Shape;
  readonly #trees: readonly BrownianTree[];

  /** Draws the motion over all σ. */
  constructor({ shape, sigmaMin, sigmaMax, seed = randomSeed() }: BrownianNoiseOptions) {
    const generators = [typeof seed === "number" ? manualSeed(seed) : seed].flat();
    if (Array.isArray(seed) && seed.length !== shape[0]) {
      throw new RangeError(
        `Cannot draw Brownian noise: expected one generator or ${shape[0]}, got ${seed.length}`,
      );
    }
    const count = size(shape) / generators.length;
    this.#shape = shape;
    this.#trees = generators.map((from) => new BrownianTree(from, count, { start: sigmaMin, end: sigmaMax }));
  }

  /** The noise of a step from one σ to the next. */
  noise(sigma: number, next: number): Tensor {
    const deviation = f32(Math.sqrt(f32(Math.abs(f32(sigma) - f32(next)))));
    const data = new Float32Array(size(this.#shape));
    this.#trees.forEach((tree, row) => {
      const increment = tree.increment(f32(sigma), f32(next)).map((w) => w / deviation);
      data.set(increment, row * increment.length);
    });
    return tensor(data, this.#shape);
  }
}
