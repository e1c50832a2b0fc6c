import type { Shape } from "../core/shape.ts";
import { attention } from "../ops/mod.ts";
import type { Tensor } from "../tensor/mod.ts";
import { dense, type Layer, norm } from "./layers.ts";

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
  const normed = o.groups === null ? x : norm(x, w.group_norm!, { groups: o.groups, eps: o.eps });
  const tokens = normed.reshape([B, C, H * W]).permute([0, 2, 1]); // [B, N, C]

  const split = (t: Tensor) => t.reshape([B, H * W, heads, o.headDim]).permute([0, 2, 1, 3]); // [B, heads, N, D]
  const [q, k, v] = [w.to_q, w.to_k, w.to_v].map((layer) => split(dense(tokens, layer, width))) as [
    Tensor,
    Tensor,
    Tensor,
  ];
  const mixed = attention(q, k, v).permute([0, 2, 1, 3]).reshape([B, H * W, width]);

  const sum = dense(mixed, w.to_out[0], C).permute([0, 2, 1]).reshape([B, C, H, W]).add(x);
  return o.outputScale === 1 ? sum : sum.div(o.outputScale);
}
