import { layerNorm } from "../../ops/mod.ts";
import { named, type Tensor } from "../../tensor/mod.ts";
import { type FeedForward, feedForward } from "./feed_forward.ts";
import { expectShape, type Layer } from "../../nn/layers.ts";
import { type TokenAttention, tokenAttention } from "./token_attention.ts";

/** Weights of a transformer block. */
export interface BasicTransformerBlock {
  norm1: Layer;
  attn1: TokenAttention;
  norm2: Layer;
  attn2: TokenAttention;
  norm3: Layer;
  ff: FeedForward;
}

/** Options of `basicTransformerBlock`. */
export interface BasicTransformerBlockOptions {
  heads: number;
  /** The first attention is to the prompt too, not of the tokens to each other. */
  onlyCrossAttention: boolean;
  /** Added to the scores of the attention to the prompt [B, 1, 1, S]. */
  mask?: Tensor | undefined;
}

/**
 * Attention to itself, attention to the prompt's `context` [B, S, K], feed-forward. x [B, N, D] → [B, N, D].
 */
export function basicTransformerBlock(
  x: Tensor,
  w: BasicTransformerBlock,
  context: Tensor,
  { heads, onlyCrossAttention, mask }: BasicTransformerBlockOptions,
): Tensor {
  const attend = (name: "attn1" | "attn2", own: Tensor, to: Tensor, mask?: Tensor) =>
    named(name, () => tokenAttention(own, w[name], to, { heads, mask }), [own, to]);
  const own = named("norm1", () => normTokens(x, w.norm1), [x]);
  x = attend("attn1", own, onlyCrossAttention ? context : own).add(x);
  const asking = named("norm2", () => normTokens(x, w.norm2), [x]);
  x = attend("attn2", asking, context, mask).add(x);
  const normed = named("norm3", () => normTokens(x, w.norm3), [x]);
  return named("ff", () => feedForward(normed, w.ff), [normed]).add(x);
}

/** Layer normalisation of each token. x [B, N, D]. */
function normTokens(x: Tensor, w: Layer): Tensor {
  expectShape(w.weight, [x.shape[2]!]);
  expectShape(w.bias, [x.shape[2]!]);
  return layerNorm(x, { weight: w.weight, bias: w.bias }, { eps: 1e-5 });
}
