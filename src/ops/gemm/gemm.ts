import type { Candidate } from "../../graph/node.ts";
import { recordChoice, type Tensor } from "../../tensor/mod.ts";
import { inputsOf } from "./operands.ts";
import type { Gemm } from "./problem.ts";
import { selectKernel, shapeClassOf } from "./select.ts";

/** Operations of a gate on two products: a bias to each, gelu, their product. */
const GATE = 4;

/** Records a matrix product or, with `conv`, a convolution as one. */
export function gemm(g: Gemm): Tensor {
  return recordGemm(selectKernel(g.x.device.traits, g), g);
}

/** Records a product by one of some kernels that are right for it. */
export function recordGemm(candidates: readonly Candidate[], g: Gemm): Tensor {
  const { x, m, n, k, taps = 1, batch: [z0, z1], gate } = g;
  return recordChoice("gemm", {
    candidates,
    shapeClass: shapeClassOf(g),
    inputs: inputsOf(g),
    shape: g.shape,
    dtype: g.dtype ?? x.dtype,
    layout: g.layout,
    strides: g.strides,
    axes: [z0, z1, m, n],
    flops: (gate ? 2 : 1) * 2 * z0 * z1 * m * n * k * taps + (gate ? GATE * m * n : 0),
  });
}
