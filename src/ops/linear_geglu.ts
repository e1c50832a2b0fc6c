import type { Tensor } from "../tensor/mod.ts";
import { gelu } from "./activations.ts";
import { gemm } from "./gemm/gemm.ts";
import { type Affine, denseOperands, linear } from "./linear.ts";
import { lowRankOf, noteProducts } from "./low_rank.ts";

/**
 * hidden · GELU(gate) (Shazeer 2020, https://arxiv.org/abs/2002.05202), the halves of x · weightᵀ + bias:
 * geglu(linear(x)) without the product in memory. x [.., K], weight [2 N, K] → [.., N].
 */
export function linearGeglu(x: Tensor, { weight, bias }: Affine & { bias: Tensor }): Tensor {
  const K = x.shape.at(-1)!;
  const N = weight.shape[0]! / 2;
  if (weight.rank !== 2 || weight.shape[1] !== K || !Number.isInteger(N)) {
    throw new RangeError(`Cannot apply ${weight} to ${x}: expected a weight [2 N, ${K}]`);
  }
  // A LoRA adds its product before the gate; on a software adapter two products are faster (1.2 to 1.8 times).
  if (lowRankOf(weight) || !x.device.traits.joins || weight.strides[1] !== 1 || K === 0) {
    const half = (i: number): Affine => ({
      weight: weight.slice(0, i * N, (i + 1) * N),
      bias: bias.slice(0, i * N, (i + 1) * N),
    });
    return linear(x, half(0)).mul(gelu(linear(x, half(1))));
  }
  noteProducts(weight);
  const operands = denseOperands(x, weight);
  return gemm({
    ...operands,
    batch: [1, 1],
    n: N,
    gate: { step: N * weight.strides[0]!, bias: bias.contiguous() },
    shape: [operands.m, N],
  }).reshape([...x.shape.slice(0, -1), N]);
}
