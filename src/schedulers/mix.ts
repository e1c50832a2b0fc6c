import { type Tensor, tensor, weightedSum } from "../tensor/mod.ts";

/** A weighted sum of two tensors, with one pair of weights for all images or for each image its own. */
export function mix(x: Tensor, y: Tensor, pairs: readonly (readonly [number, number])[]): Tensor {
  const [B, ...rest] = x.shape as readonly [number, ...number[]];
  if (pairs.length !== 1 && pairs.length !== B) {
    throw new RangeError(`Cannot mix noise: expected one timestep or ${B}, got ${pairs.length}`);
  }
  if (pairs.length === 1) return weightedSum([pairs[0]![0], x], [pairs[0]![1], y]);
  const column = (i: 0 | 1) =>
    tensor(pairs.map((pair) => pair[i]), [B, ...rest.map(() => 1)], { dtype: "f32" });
  return x.mul(column(0)).add(y.mul(column(1)));
}
