import type { DType } from "../../core/dtype.ts";
import type { Shape, Tuple } from "../../core/shape.ts";
import { gatedFeedForward } from "../../nn/gated_feed_forward.ts";
import { dense, expectShape, type Layer, type Projection } from "../../nn/layers.ts";
import { layerNorm, rmsNorm, silu } from "../../ops/mod.ts";
import { type Expr, named, recordPointwise, type Tensor } from "../../tensor/mod.ts";
import { type ZImageAttention, zImageAttention, type ZImageAttentionOptions } from "./attention.ts";

/** Weights of a block of tokens that attend to each other. */
export interface ZImageTransformerBlock {
  attention: ZImageAttention;
  feed_forward: ZImageFeedForward;
  attention_norm1: Projection;
  attention_norm2: Projection;
  ffn_norm1: Projection;
  ffn_norm2: Projection;
  /** In blocks that depend on time: not in those of the caption. */
  adaLN_modulation?: [Layer] | undefined;
}

/** Weights of a gated feed-forward layer. */
export interface ZImageFeedForward {
  w1: Projection;
  w2: Projection;
  w3: Projection;
}

/** Weights behind the last block. */
export interface ZImageFinalLayer {
  linear: Layer;
  /** The second of two layers, the first of which is an activation. */
  adaLN_modulation: { 1: Layer };
}

/** Options of all blocks. */
export interface ZImageBlockOptions extends ZImageAttentionOptions {
  /** Added to the mean square in the norms. */
  eps: number;
  /** dtype of the operands of products; the residual stream is f32. */
  dtype: DType;
}

/**
 * One block: attention, then a gated feed-forward layer, each with a norm in front and another behind it, scales in
 * front and gates behind by `time` [B, T] where there is one. x [B, L, D] f32 → [B, L, D] f32, as values outgrow f16.
 */
export function zImageTransformerBlock(
  x: Tensor,
  w: ZImageTransformerBlock,
  time: Tensor | undefined,
  o: ZImageBlockOptions,
): Tensor {
  const [scaleMsa, gateMsa, scaleMlp, gateMlp] = time ? modulationOf(time, w.adaLN_modulation![0], x) : [];
  const norm = (name: "attention_norm1" | "attention_norm2" | "ffn_norm1" | "ffn_norm2", x: Tensor) =>
    named(name, () => normed(x, w[name], o.eps), [x]);

  const h = scaled(norm("attention_norm1", x), scaleMsa, o.dtype);
  const attended = named("attention", () => zImageAttention(h, w.attention, o), [h]);
  const sum = x.add(gated(norm("attention_norm2", attended), gateMsa));

  const g = scaled(norm("ffn_norm1", sum), scaleMlp, o.dtype);
  const fed = named("feed_forward", () => feedForward(g, w.feed_forward), [g]);
  return sum.add(gated(norm("ffn_norm2", fed), gateMlp));
}

/** Scale and gate of attention, then those of the feed-forward layer. time [B, T] → four times [B, 1, D] */
function modulationOf(time: Tensor, w: Layer, x: Tensor): Readonly<Tuple<Tensor, 4>> {
  const [B, , D] = x.shape as Shape<3>;
  const rows = named("adaLN_modulation", () => named("0", () => dense(time, w, 4 * D), [time]), [time]);
  const pairs = rows.reshape([B, 2, 2, D]); // of scale and gate
  const [scaleMsa, scaleMlp] = pairs.slice(2, 0, 1).reshape([B, 2, D]).chunk(2, 1);
  const [gateMsa, gateMlp] = pairs.slice(2, 1).tanh().reshape([B, 2, D]).chunk(2, 1); // once for all tokens
  return [scaleMsa, gateMsa, scaleMlp, gateMlp];
}

/** Root mean square normalisation of each token. x [B, N, D] */
export function normed(x: Tensor, w: Projection, eps: number): Tensor {
  expectShape(w.weight, [x.shape[2]!]);
  return rmsNorm(x, w, { eps });
}

const SCALED: Expr = {
  op: "mul",
  args: [
    { op: "operand", index: 0 },
    { op: "add", args: [{ op: "operand", index: 1 }, { op: "scalar", index: 0 }] },
  ],
};

/** y · (1 + scale), where there is a scale. y [B, L, D], scale [B, 1, D] → [B, L, D] in `dtype` */
function scaled(y: Tensor, scale: Tensor | undefined, dtype: DType): Tensor {
  return scale ? recordPointwise(SCALED, [y, scale], { scalars: [1], dtype }) : y.cast(dtype);
}

function gated(y: Tensor, gate: Tensor | undefined): Tensor {
  return gate ? y.mul(gate) : y;
}

/** x [B, N, D] → [B, N, D] f32 */
function feedForward(x: Tensor, { w1, w2, w3 }: ZImageFeedForward): Tensor {
  const hidden = Math.trunc(x.shape.at(-1)! / 3 * 8); // rounded as in Python
  return gatedFeedForward(x, { gate: ["w1", w1], value: ["w3", w3], out: ["w2", w2] }, { hidden });
}

/** The layer behind the last block: a norm without weights, scaled by time [B, T]. x [B, L, D] → [B, L, width] */
export function zImageFinalLayer(
  x: Tensor,
  w: ZImageFinalLayer,
  time: Tensor,
  { width, dtype }: { width: number; dtype: DType },
): Tensor {
  const D = x.shape[2]!;
  const modulation = () => {
    const active = silu(time);
    return named("1", () => dense(active, w.adaLN_modulation[1], D), [active]);
  };
  const scale = named("adaLN_modulation", modulation, [time]).unsqueeze(1);
  const plain = named("norm_final", () => layerNorm(x, null, { eps: 1e-6 }), [x]);
  const h = scaled(plain, scale, dtype);
  return named("linear", () => dense(h, w.linear, width), [h]);
}
