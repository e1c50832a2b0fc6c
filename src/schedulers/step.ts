/** A scheduler's step: its options, its result, and noise mixed with images. */
import type { RandomOptions } from "../random/mod.ts";
import { type Tensor, tensor, weightedSum } from "../tensor/mod.ts";

/** Options of step(). */
export interface StepOptions {
  /** Source of the noise that a step adds; a list has one stream for each image. */
  generator?: RandomOptions["generator"] | undefined;
}

/** Result of step(). */
export interface StepOutput {
  /** The sample one step nearer to the image, x_{t−1}. */
  prevSample: Tensor;
  /** The image as the model sees it now, x̂_0. */
  predOriginalSample: Tensor;
}

/** Weights of the image and of the noise in a sample. */
export type NoiseWeights = readonly [image: number, noise: number];

/** A weighted sum of two tensors, with one pair of weights for all images [B, …] or for each image its own. */
export function addWeighted(x: Tensor, y: Tensor, weights: readonly NoiseWeights[]): Tensor {
  const [B, ...rest] = x.shape as readonly [number, ...number[]];
  if (weights.length !== 1 && weights.length !== B) {
    throw new RangeError(`Cannot mix noise: expected one timestep or ${B}, got ${weights.length}`);
  }
  if (weights.length === 1) return weightedSum([weights[0]![0], x], [weights[0]![1], y]);
  const column = (i: 0 | 1) =>
    tensor(weights.map((pair) => pair[i]), [B, ...rest.map(() => 1)], { dtype: "f32" });
  return x.mul(column(0)).add(y.mul(column(1)));
}

/** Result of a step that does not need x̂_0 itself: it is computed when it is read. */
export function stepOutput(prevSample: Tensor, predOriginalSample: () => Tensor): StepOutput {
  return {
    prevSample,
    get predOriginalSample() {
      return predOriginalSample();
    },
  };
}
