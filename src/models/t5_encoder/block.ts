import type { DType } from "../../core/dtype.ts";
import type { Shape } from "../../core/shape.ts";
import { activation, type HiddenActName } from "../../nn/activations.ts";
import { attend } from "../../nn/attention.ts";
import { gatedFeedForward } from "../../nn/gated_feed_forward.ts";
import { expectShape, project, type Projection } from "../../nn/layers.ts";
import { gather, rmsNorm } from "../../ops/mod.ts";
import { named, type Tensor } from "../../tensor/mod.ts";

/** Weights of T5's attention of tokens to each other. */
export interface T5Attention {
  q: Projection;
  k: Projection;
  v: Projection;
  o: Projection;
}

/** Weights of T5's dense layers: `wi` where they are plain, `wi_0` and `wi_1` where they are gated. */
export interface T5FeedForward {
  wi: Projection;
  wi_0: Projection;
  wi_1: Projection;
  wo: Projection;
}

/** Weights of a block of T5's encoder. */
export interface T5Block {
  layer: [
    { SelfAttention: T5Attention; layer_norm: Projection },
    { DenseReluDense: T5FeedForward; layer_norm: Projection },
  ];
}

/** Options of `t5Block`. */
export interface T5BlockOptions {
  heads: number;
  /** Width of a head, which need not be D / heads. */
  headWidth: number;
  /** Width between the dense layers. */
  hidden: number;
  act: HiddenActName;
  /** A second dense layer is multiplied with the activation. */
  gated: boolean;
  eps: number;
  /** dtype of the work between the norms and the sums. */
  dtype: DType;
}

const F32 = { dtype: "f32" } as const; // for layers whose results leave the range of f16

/**
 * A block of T5's encoder (Raffel et al. 2020; gated: Shazeer 2020). x [B, N, D] f32; `bias`
 * [B or 1, heads, N, N] is added to the scores. The sums stay f32.
 */
export function t5Block(x: Tensor, w: T5Block, bias: Tensor, o: T5BlockOptions): Tensor {
  const [{ SelfAttention, layer_norm: norm1 }, { DenseReluDense, layer_norm: norm2 }] = [
    w.layer[0],
    w.layer[1],
  ];
  const normed = named("layer.0.layer_norm", () => t5Norm(x, norm1, o.eps), [x]).cast(o.dtype);
  const sum = x.add(
    named("layer.0.SelfAttention", () => selfAttention(normed, SelfAttention, bias, o), [normed]),
  );
  const h = named("layer.1.layer_norm", () => t5Norm(sum, norm2, o.eps), [sum]).cast(o.dtype);
  return sum.add(named("layer.1.DenseReluDense", () => feedForward(h, DenseReluDense, o), [h]));
}

/** Root mean square normalisation of each token. x [B, N, D]. */
export function t5Norm(x: Tensor, w: Projection, eps: number): Tensor {
  expectShape(w.weight, [x.shape[2]!]);
  return rmsNorm(x, w, { eps });
}

/** The scores are not scaled: T5 trained its queries so. → [B, N, D] f32 */
function selfAttention(x: Tensor, w: T5Attention, bias: Tensor, o: T5BlockOptions): Tensor {
  const [B, N, D] = x.shape as Shape<3>;
  const width = o.heads * o.headWidth;
  const heads = (name: "q" | "k" | "v") => {
    const y = named(name, () => project(x, w[name], width), [x]);
    return y.reshape([B, N, o.heads, o.headWidth]).permute([0, 2, 1, 3]);
  };
  const mixed = attend(heads("q"), heads("k"), heads("v"), { scale: 1, mask: bias });
  const tokens = mixed.permute([0, 2, 1, 3]).reshape([B, N, width]);
  return named("o", () => project(tokens, w.o, D, F32), [tokens]);
}

/** x [B, N, D] → [B, N, D] f32 */
function feedForward(x: Tensor, w: T5FeedForward, { act, gated, hidden }: T5BlockOptions): Tensor {
  if (gated) {
    const layers = { gate: ["wi_0", w.wi_0], value: ["wi_1", w.wi_1], out: ["wo", w.wo] } as const;
    return gatedFeedForward(x, layers, { hidden, act: activation(act) });
  }
  const h = activation(act)(named("wi", () => project(x, w.wi, hidden, F32), [x])); // f16 does not hold all of it
  return named("wo", () => project(h, w.wo, x.shape[2]!), [h]);
}

/**
 * Added to the scores of each pair of tokens: a value a head for its bucket. ids [N · N]
 * → [1, heads, N, N]
 */
export function positionBias(
  ids: Tensor,
  w: Projection,
  { buckets, heads }: { buckets: number; heads: number },
): Tensor {
  expectShape(w.weight, [buckets, heads]);
  const N = Math.sqrt(ids.size);
  return gather(w.weight, ids).reshape([1, N, N, heads]).permute([0, 3, 1, 2]).contiguous();
}
