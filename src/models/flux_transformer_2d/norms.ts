import { layerNorm } from "../../ops/mod.ts";
import type { DType } from "../../core/dtype.ts";
import type { Tuple } from "../../core/shape.ts";
import { type Expr, recordPointwise, type Tensor } from "../../tensor/mod.ts";

/** Layer norm of each token, without weights. x [B, N, D] */
export function tokenNorm(x: Tensor): Tensor {
  return layerNorm(x, null, { eps: 1e-6 });
}

const MODULATED: Expr = {
  op: "add",
  args: [
    {
      op: "mul",
      args: [
        { op: "operand", index: 0 },
        { op: "add", args: [{ op: "operand", index: 1 }, { op: "scalar", index: 0 }] },
      ],
    },
    { op: "operand", index: 2 },
  ],
};

/**
 * y · (1 + scale) + shift: a norm's affine part, told by time and text (Peebles & Xie 2022,
 * https://arxiv.org/abs/2212.09748). y [B, N, D], scale and shift [B, D] → [B, N, D] in `dtype`.
 */
export function modulate(y: Tensor, scale: Tensor, shift: Tensor, dtype: DType): Tensor {
  return recordPointwise(MODULATED, [y, scale.unsqueeze(1), shift.unsqueeze(1)], { scalars: [1], dtype });
}

/**
 * diffusers' AdaLayerNormZero:
 * the norm in front of attention, and what the rest of the block is told. vectors [B, 6 D]
 */
export function adaLayerNormZero(x: Tensor, vectors: Tensor, dtype: DType): Tuple<Tensor, 5> {
  const [shiftMsa, scaleMsa, gateMsa, shiftMlp, scaleMlp, gateMlp] = vectors.chunk(6, 1);
  return [modulate(tokenNorm(x), scaleMsa, shiftMsa, dtype), gateMsa, shiftMlp, scaleMlp, gateMlp];
}

/**
 * diffusers' AdaLayerNormZeroSingle: the norm in front of a block, and the gate behind it. vectors [B, 3 D]
 */
export function adaLayerNormZeroSingle(x: Tensor, vectors: Tensor, dtype: DType): [Tensor, Tensor] {
  const [shift, scale, gate] = vectors.chunk(3, 1);
  return [modulate(tokenNorm(x), scale, shift, dtype), gate];
}

/** diffusers' AdaLayerNormContinuous: the norm at the end of the model. vectors [B, 2 D] */
export function adaLayerNormContinuous(x: Tensor, vectors: Tensor, dtype: DType): Tensor {
  const [scale, shift] = vectors.chunk(2, 1);
  return modulate(tokenNorm(x), scale, shift, dtype);
}

/** x + gate · y: a branch joins its residual stream, which stays f32. x and y [B, N, D], gate [B, D]. */
export function gated(x: Tensor, gate: Tensor, y: Tensor): Tensor {
  return x.add(gate.unsqueeze(1).mul(y));
}
