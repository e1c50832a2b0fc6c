import { size } from "../core/shape.ts";
import { type Tensor, zeros } from "../tensor/mod.ts";
import { gemm } from "./gemm.ts";

/** Weights of a dense layer, a convolution or a norm. */
export interface Affine {
  /** [N, K] of a dense layer, [O, C, kh, kw] of a convolution, one value a channel of a norm. */
  weight: Tensor;
  /** One value an output channel; absent where the layer was trained without. */
  bias?: Tensor;
}

/** y = x · weightᵀ + bias, as torch.nn.functional.linear. x [.., K] → [.., N]. */
export function linear(x: Tensor, { weight, bias }: Affine): Tensor {
  const K = x.shape.at(-1)!;
  const [N, inputs] = weight.shape;
  if (weight.rank !== 2 || inputs !== K) {
    throw new RangeError(`Cannot apply ${weight} to ${x}: expected a weight [N, ${K}]`);
  }
  const shape = [...x.shape.slice(0, -1), N];
  const M = size(x.shape.slice(0, -1));
  let rows = x.reshape([M, K]);
  if (rows.strides[1] !== 1) rows = rows.contiguous();
  const w = weight.strides[1] === 1 ? weight : weight.contiguous();
  const y = K === 0 ? zeros([M, N]) : gemm({
    x: rows,
    w,
    batch: [1, 1],
    m: M,
    n: N,
    k: K,
    xLayout: { z0: 0, z1: 0, row: rows.strides[0] },
    wLayout: { z0: 0, z1: 0, row: w.strides[0] },
    order: "nk",
    shape: [M, N],
  });
  return (bias ? y.add(bias) : y).reshape(shape);
}
