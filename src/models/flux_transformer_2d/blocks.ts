import type { DType } from "../../core/dtype.ts";
import type { Tuple } from "../../core/shape.ts";
import { dense, expectShape, type Layer } from "../../nn/layers.ts";
import { type Affine, geluTanh, layerNorm, linear } from "../../ops/mod.ts";
import { type Expr, named, recordPointwise, type Tensor } from "../../tensor/mod.ts";
import {
  type FluxAttention,
  fluxAttention,
  type FluxAttentionOptions,
  type FluxJointAttention,
  fluxJointAttention,
} from "./attention.ts";

/** Weights of a block in which picture and text are streams of their own, but for the layers of its modulation. */
export interface FluxTransformerBlock {
  attn: FluxJointAttention;
  ff: FluxFeedForward;
  ff_context: FluxFeedForward;
}

/** Weights of a block in which text and picture are one stream, but for the layer of its modulation. */
export interface FluxSingleTransformerBlock {
  attn: FluxAttention;
  proj_mlp: Layer;
  proj_out: Layer;
}

/** Weights of a feed-forward layer; net.1 is a dropout and has none. */
export interface FluxFeedForward {
  net: { 0: { proj: Layer }; 2: Layer };
}

/** Options of all blocks. */
export interface FluxBlockOptions extends FluxAttentionOptions {
  /** dtype of the operands of products; the residual streams are f32. */
  dtype: DType;
}

/**
 * One block of FLUX's dual stream: joint attention, then a feed-forward layer for each stream. The text c
 * [B, N, D], the picture x [B, L, D] and the modulation of their norms [B, 6 D] each → the streams.
 */
export function fluxTransformerBlock(
  [c, x]: readonly [Tensor, Tensor],
  w: FluxTransformerBlock,
  modulation: { norm1: Tensor; norm1_context: Tensor },
  o: FluxBlockOptions,
): [Tensor, Tensor] {
  const normed = (name: "norm1" | "norm1_context", t: Tensor) =>
    named(name, () => adaLayerNormZero(t, modulation[name], o.dtype), [t, modulation[name]]);
  const [normedX, ...restX] = normed("norm1", x);
  const [normedC, ...restC] = normed("norm1_context", c);
  const attended = () => fluxJointAttention(normedX, normedC, w.attn, o);
  const [mixedX, mixedC] = named("attn", attended, [normedX, normedC]);
  return [
    behindAttention(c, mixedC, restC, w.ff_context, "_context", o.dtype),
    behindAttention(x, mixedX, restX, w.ff, "", o.dtype),
  ];
}

/** The rest of a block in one stream: attention joins it, then a feed-forward layer does. */
function behindAttention(
  x: Tensor,
  mixed: Tensor,
  [gateMsa, shiftMlp, scaleMlp, gateMlp]: Readonly<Tuple<Tensor, 4>>,
  w: FluxFeedForward,
  suffix: string,
  dtype: DType,
): Tensor {
  const sum = gated(x, gateMsa, mixed);
  const normed = named(`norm2${suffix}`, () => plainNorm(sum), [sum]);
  const modulated = modulate(normed, scaleMlp, shiftMlp, dtype);
  return gated(sum, gateMlp, named(`ff${suffix}`, () => feedForward(modulated, w), [modulated]));
}

const WIDENING = 4; // width between two dense layers, in widths of a token

/** Two dense layers with GELU by its tanh approximation between them. x [B, N, D] → [B, N, D]. */
function feedForward(x: Tensor, w: FluxFeedForward): Tensor {
  const D = x.shape.at(-1)!;
  const hidden = named("net.0", () => geluTanh(dense(x, w.net[0].proj, WIDENING * D)), [x]);
  return named("net.2", () => dense(hidden, w.net[2], D), [hidden]);
}

/**
 * One block of FLUX's single stream: attention beside a feed-forward layer (Dehghani et al. 2023,
 * https://arxiv.org/abs/2302.05442). x [B, N + L, D] and the modulation of its norm [B, 3 D] → [B, N + L, D].
 */
export function fluxSingleTransformerBlock(
  x: Tensor,
  w: FluxSingleTransformerBlock,
  modulation: Tensor,
  o: FluxBlockOptions,
): Tensor {
  const D = x.shape[2]!;
  const [normed, gate] = named("norm", () => adaLayerNormZeroSingle(x, modulation, o.dtype), [x, modulation]);
  const wide = named("proj_mlp", () => dense(normed, w.proj_mlp, WIDENING * D), [normed]);
  const hidden = named("act_mlp", () => geluTanh(wide), [wide]);
  const mixed = named("attn", () => fluxAttention(normed, w.attn, o), [normed]);
  return gated(
    x,
    gate,
    named("proj_out", () => {
      expectShape(w.proj_out.bias, [D]);
      return projectBoth(mixed, hidden, w.proj_out);
    }, [mixed, hidden]),
  );
}

/**
 * A dense layer over both side by side, as the sum of two products, so that nothing is joined; the second is times `factor`.
 * [B, N, D] and [B, N, inner] → [B, N, D]
 */
export function projectBoth(
  mixed: Tensor,
  hidden: Tensor,
  { weight, bias }: Affine,
  factor = 1,
): Tensor {
  const [D, inner] = [mixed.shape[2], hidden.shape[2]] as [number, number];
  expectShape(weight, [D, D + inner]);
  const first = linear(mixed, { weight: weight.slice(1, 0, D) }, { dtype: "f32" }); // half a sum is not rounded to f16
  const second = linear(hidden, { weight: weight.slice(1, D), bias });
  return (factor === 1 ? second : second.mul(factor)).add(first);
}

/** Layer norm of each token, without weights. x [B, N, D] */
export function plainNorm(x: Tensor, eps = 1e-6): Tensor {
  return layerNorm(x, null, { eps });
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
 * y · (1 + scale) + shift: a norm's affine part, made of time and text (Peebles & Xie 2022,
 * https://arxiv.org/abs/2212.09748). y [B, N, D], scale and shift [B, D] → [B, N, D] in `dtype`.
 */
export function modulate(y: Tensor, scale: Tensor, shift: Tensor, dtype: DType): Tensor {
  return recordPointwise(MODULATED, [y, scale.unsqueeze(1), shift.unsqueeze(1)], { scalars: [1], dtype });
}

/** diffusers' AdaLayerNormZero: the norm in front of attention, and the modulation of the rest. modulation [B, 6 D] */
function adaLayerNormZero(x: Tensor, modulation: Tensor, dtype: DType): Tuple<Tensor, 5> {
  const [shiftMsa, scaleMsa, gateMsa, shiftMlp, scaleMlp, gateMlp] = modulation.chunk(6, 1);
  return [modulate(plainNorm(x), scaleMsa, shiftMsa, dtype), gateMsa, shiftMlp, scaleMlp, gateMlp];
}

/** diffusers' AdaLayerNormZeroSingle: the norm in front of a block, and the gate behind it. modulation [B, 3 D] */
function adaLayerNormZeroSingle(x: Tensor, modulation: Tensor, dtype: DType): [Tensor, Tensor] {
  const [shift, scale, gate] = modulation.chunk(3, 1);
  return [modulate(plainNorm(x), scale, shift, dtype), gate];
}

/** diffusers' AdaLayerNormContinuous: the norm at the end of the model. modulation [B, 2 D] */
export function adaLayerNormContinuous(x: Tensor, modulation: Tensor, dtype: DType, eps?: number): Tensor {
  const [scale, shift] = modulation.chunk(2, 1);
  return modulate(plainNorm(x, eps), scale, shift, dtype);
}

/** x + gate · y: a branch joins its residual stream, which stays f32. x and y [B, N, D], gate [B, D]. */
export function gated(x: Tensor, gate: Tensor, y: Tensor): Tensor {
  return x.add(gate.unsqueeze(1).mul(y));
}
