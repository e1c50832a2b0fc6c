import { type Tensor, zeros } from "../tensor/mod.ts";
import { gemm } from "./gemm.ts";

/** Weights of a dense layer: weight [N, K], bias [N]. */
export interface Affine {
  weight: Tensor;
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
  let rows = x.reshape([-1, K]);
  if (rows.strides[1] !== 1) rows = rows.contiguous();
  const y = K === 0 ? zeros([rows.shape[0], N]) : gemm({
    x: rows,
    w: weight,
    batch: [1, 1],
    m: rows.shape[0],
    n: N,
    k: K,
    xLayout: { z0: 0, z1: 0, row: rows.strides[0] },
    wLayout: { z0: 0, z1: 0, row: weight.strides[0] },
    order: "nk",
    shape: [rows.shape[0], N],
  });
  return (bias ? y.add(bias) : y).reshape(shape);
}
