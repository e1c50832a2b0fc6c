import type { Shape } from "../core/shape.ts";
import { attention, type AttentionOptions } from "../ops/mod.ts";
import { attentionProbs, mixValues } from "../ops/attention/blocks.ts";
import { isWanted, named, type Tensor } from "../tensor/mod.ts";
import { dense, groupNorm, type Layer } from "./layers.ts";

/**
 * Attention with two parts that can be tapped and edited: its result, "attention", and its maps,
 * "attention_probs" [B, H, L, S], which are computed with all scores in memory where they are asked for.
 * q [B, H, L, D], k and v [B, H, S, D] → [B, H, L, D].
 */
export function attend(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  const probs = isWanted("attention_probs")
    ? named("attention_probs", () => attentionProbs(q, k, options), [q, k])
    : undefined;
  const run = () => probs ? mixValues(probs, v, q.dtype) : attention(q, k, v, options);
  return named("attention", run, [q, k, v]);
}

/** Weights of self-attention between pixels. */
export interface AttentionBlock {
  group_norm?: Layer | undefined;
  to_q: Layer;
  to_k: Layer;
  to_v: Layer;
  to_out: [Layer];
}

/** Options of `attentionBlock`. */
export interface AttentionBlockOptions {
  /** Width of a head; heads that would not be whole are left out, as in diffusers. */
  headDim: number;
  /** Groups of the norm in front, or null where there is none. */
  groups: number | null;
  eps: number;
  /** Divides the sum with the residual. */
  outputScale: number;
}

/** Self-attention between the pixels of an image, with its residual. x [B, C, H, W] → [B, C, H, W]. */
export function attentionBlock(x: Tensor, w: AttentionBlock, o: AttentionBlockOptions): Tensor {
  const [B, C, H, W] = x.shape as Shape<4>;
  const heads = Math.floor(C / o.headDim);
  const width = heads * o.headDim;
  const { groups, eps } = o;
  const normed = groups === null
    ? x
    : named("group_norm", () => groupNorm(x, w.group_norm!, { groups, eps }), [x]);
  const tokens = normed.reshape([B, C, H * W]).permute([0, 2, 1]); // [B, N, C]

  const split = (t: Tensor) => t.reshape([B, H * W, heads, o.headDim]).permute([0, 2, 1, 3]); // [B, heads, N, D]
  const part = (name: "to_q" | "to_k" | "to_v") =>
    split(named(name, () => dense(tokens, w[name], width), [tokens]));
  const mixed = attend(part("to_q"), part("to_k"), part("to_v"));
  const joined = mixed.permute([0, 2, 1, 3]).reshape([B, H * W, width]);

  const out = named("to_out.0", () => dense(joined, w.to_out[0], C), [joined]);
  const sum = out.permute([0, 2, 1]).reshape([B, C, H, W]).add(x);
  return o.outputScale === 1 ? sum : sum.div(o.outputScale);
}
