import type { Shape } from "../../core/shape.ts";
import { attend } from "../../nn/attention.ts";
import {
  conv1x1,
  dense,
  expectShape,
  groupNorm,
  type Layer,
  layerNorm,
  project,
  type Projection,
} from "../../nn/layers.ts";
import { attention } from "../../ops/mod.ts";
import { linearGeglu } from "../../ops/linear_geglu.ts";
import { linearThree } from "../../ops/linear_three.ts";
import { labelled, named, type Tensor } from "../../tensor/mod.ts";
import type { ImageKeyValues } from "../ip_adapter/ip_adapter.ts";

/** Weights of a transformer over the pixels of a picture. */
export interface Transformer2D {
  norm: Layer;
  proj_in: Layer;
  transformer_blocks: BasicTransformerBlock[];
  proj_out: Layer;
}

/** Weights of a transformer block. */
export interface BasicTransformerBlock {
  norm1: Layer;
  attn1: TokenAttention;
  norm2: Layer;
  attn2: TokenAttention;
  norm3: Layer;
  ff: FeedForward;
}

/** Weights of attention of tokens to each other, or to those of a prompt. */
export interface TokenAttention {
  to_q: Projection;
  to_k: Projection;
  to_v: Projection;
  to_out: [Layer];
}

/** Weights of a gated feed-forward layer; net.1 is a dropout and has none. */
export interface FeedForward {
  net: { 0: { proj: Layer }; 2: Layer };
}

/** Options of `transformer2D`. */
export interface Transformer2DOptions {
  /** Number of transformer blocks. */
  layers: number;
  /** Groups of channels in the norm. */
  groups: number;
  /** The projections are dense layers, not convolutions: the same numbers, kept with two axes instead of four. */
  linearProjection: boolean;
  heads: number;
  /** The first attention of a block is to the prompt too, not of the pixels to each other. */
  onlyCrossAttention: boolean;
  /** Added to the scores of the attention to the prompt [B, 1, 1, S]. */
  mask?: Tensor | undefined;
  /** Tokens of pictures for the attention to the prompt that is being recorded. */
  images?: (() => readonly ImageKeyValues[]) | undefined;
}

/** Pixels attend to each other and to the prompt's `context` [B, S, K]. x [B, C, H, W] → [B, C, H, W]. */
export function transformer2D(x: Tensor, w: Transformer2D, context: Tensor, o: Transformer2DOptions): Tensor {
  const [B, C, H, W] = x.shape as Shape<4>;
  const inner = Math.floor(C / o.heads) * o.heads; // heads are of whole channels
  const normed = named("norm", () => groupNorm(x, w.norm, { groups: o.groups, eps: 1e-6 }), [x]);
  const layer = (name: string, t: Tensor, w: Layer, width: number) =>
    named(name, () => o.linearProjection ? dense(t, w, width) : conv1x1(t, w, width), [t]);
  const toTokens = (t: Tensor) => t.reshape([B, -1, H * W]).permute([0, 2, 1]); // a view of channels-last memory
  const toPicture = (t: Tensor) => t.permute([0, 2, 1]).reshape([B, -1, H, W]);

  let tokens = o.linearProjection
    ? layer("proj_in", toTokens(normed), w.proj_in, inner)
    : toTokens(layer("proj_in", normed, w.proj_in, inner));
  for (let i = 0; i < o.layers; i++) {
    const run = () => basicTransformerBlock(tokens, w.transformer_blocks[i]!, context, o);
    tokens = named(`transformer_blocks.${i}`, run, [tokens, context]);
  }
  const out = o.linearProjection
    ? toPicture(layer("proj_out", tokens, w.proj_out, C))
    : layer("proj_out", toPicture(tokens), w.proj_out, C);
  return out.add(x);
}

/** Attention to itself, attention to the prompt's `context` [B, S, K], feed-forward. x [B, N, D] → [B, N, D]. */
function basicTransformerBlock(
  x: Tensor,
  w: BasicTransformerBlock,
  context: Tensor,
  { heads, onlyCrossAttention, mask, images }: Transformer2DOptions,
): Tensor {
  const norm = (name: "norm1" | "norm2" | "norm3", x: Tensor) =>
    named(name, () => layerNorm(x, w[name], 1e-5), [x]);
  const attention = (name: "attn1" | "attn2", own: Tensor, to: Tensor, beside: Beside = {}) =>
    named(name, () => tokenAttention(own, w[name], to, { heads, ...beside }), [own, to]);
  let h = norm("norm1", x);
  x = attention("attn1", h, onlyCrossAttention ? context : h).add(x); // to each other
  h = norm("norm2", x);
  x = attention("attn2", h, context, { mask, images }).add(x); // to the prompt
  h = norm("norm3", x);
  return named("ff", () => feedForward(h, w.ff), [h]).add(x);
}

/** Options of attention to the prompt alone. */
type Beside = Pick<Transformer2DOptions, "mask" | "images">;

/** Tokens x [B, N, D] attend to `context` [B, S, K], which may be themselves. → [B, N, D] */
export function tokenAttention(
  x: Tensor,
  w: TokenAttention,
  context: Tensor,
  { heads, mask, images }: Pick<Transformer2DOptions, "heads"> & Beside,
): Tensor {
  const [B, N, D] = x.shape as Shape<3>;
  const joined = context === x ? selfProjections(x, w) : undefined;
  const split = (t: Tensor) => t.reshape([B, -1, heads, D / heads]).permute([0, 2, 1, 3]);
  const projected = (name: "to_q" | "to_k" | "to_v", i: number, from: Tensor) =>
    split(named(name, () => joined?.[i] ?? project(from, w[name], D), [from]));
  const q = projected("to_q", 0, x);
  const k = projected("to_k", 1, context);
  const v = projected("to_v", 2, context);
  let seen = attend(q, k, v, { mask });
  for (const { key, value } of images?.() ?? []) {
    seen = seen.add(labelled("image_attention", () => attention(q, split(key), split(value))));
  }
  const mixed = seen.permute([0, 2, 1, 3]).reshape([B, N, D]);
  return named("to_out.0", () => dense(mixed, w.to_out[0], D), [mixed]);
}

/** Queries, keys and values of tokens that attend to each other, where one dispatch makes them: 3 × [B, N, D] */
function selfProjections(x: Tensor, { to_q, to_k, to_v }: TokenAttention): Tensor[] | undefined {
  const D = x.shape[2]!;
  const weights = [to_q.weight, to_k.weight, to_v.weight] as const;
  for (const weight of weights) expectShape(weight, [D, D]);
  return labelled("to_qkv", () => linearThree(x, weights));
}

const WIDENING = 4; // width between two dense layers, in widths of a token

/**
 * GEGLU: hidden · GELU(gate) (Shazeer 2020, https://arxiv.org/abs/2002.05202), then a dense layer. x [B, N, D]
 * → [B, N, D].
 */
function feedForward(x: Tensor, { net }: FeedForward): Tensor {
  const D = x.shape[2]!;
  const { proj } = net[0];
  expectShape(proj.weight, [2 * WIDENING * D, D]);
  expectShape(proj.bias, [2 * WIDENING * D]);
  const gated = named("net.0", () => linearGeglu(x, proj), [x]);
  return named("net.2", () => dense(gated, net[2], D), [gated]);
}
