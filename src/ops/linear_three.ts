import { isPacked } from "../core/dtype.ts";
import { sameNumbers, type Shape } from "../core/shape.ts";
import { stack, type Tensor } from "../tensor/mod.ts";
import { gemm } from "./gemm/gemm.ts";
import { denseOperands } from "./linear.ts";
import { lowRankOf, noteProducts } from "./low_rank.ts";

/** Three weights [N, K] for one x. */
export type Weights3 = readonly [Tensor, Tensor, Tensor];

/**
 * x · weightᵀ + bias for three weights, such as those of queries, keys and values, in one dispatch; undefined where `linear`
 * is to make three. Biases are joined once. x [.., K], weights [N, K], biases [N] → three times [.., N].
 */
export function linearThree(x: Tensor, weights: Weights3, biases?: Weights3): Tensor[] | undefined {
  if (!isOneProduct(x, weights)) return undefined;
  noteProducts(...weights);
  const [w, ...others] = weights;
  const N = w.shape[0]!;
  const operands = denseOperands(x, w);
  const y = gemm({ ...operands, others, batch: [1, 3], n: N, shape: [3, operands.m, N] });
  const sum = biases ? y.add(stack(biases).unsqueeze(1)) : y;
  return weights.map((_, i) => sum.slice(0, i, i + 1).reshape([...x.shape.slice(0, -1), N]));
}

/**
 * True if the weights are read alike, on an adapter that gains by one product: a software adapter does not.
 */
function isOneProduct(x: Tensor, weights: Weights3): boolean {
  if (!x.device.traits.joins || weights.some(lowRankOf)) return false;
  const [{ shape, strides, offset, dtype }] = weights;
  const alike = (w: Tensor) =>
    w.rank === 2 && w.dtype === dtype && w.offset === offset && sameNumbers(w.shape, shape) &&
    sameNumbers(w.strides, strides);
  const [N, K] = shape as Shape<2>;
  const vectors = [K, offset, strides[0]].every((n) => n! % 4 === 0) && strides[1] === 1;
  return weights.every(alike) && vectors && !isPacked(dtype) && K === x.shape.at(-1) && N * K > 0;
}
