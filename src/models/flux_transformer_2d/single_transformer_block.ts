import { geluTanh, linear } from "../../ops/mod.ts";
import { named, type Tensor } from "../../tensor/mod.ts";
import { type FluxAttention, fluxAttention } from "./attention.ts";
import { WIDENING } from "./feed_forward.ts";
import { adaLayerNormZeroSingle, gated } from "./norms.ts";
import type { FluxBlockOptions } from "./transformer_block.ts";
import { dense, expectShape, type Layer } from "../../nn/layers.ts";

/** Weights of a block in which text and picture are one stream, but for the layer that tells of time. */
export interface FluxSingleTransformerBlock {
  attn: FluxAttention;
  proj_mlp: Layer;
  proj_out: Layer;
}

/**
 * One block of FLUX's single stream: attention beside a feed-forward layer (Dehghani et al. 2023,
 * https://arxiv.org/abs/2302.05442). x [B, N + L, D] and `vectors` [B, 3 D] → [B, N + L, D].
 */
export function fluxSingleTransformerBlock(
  x: Tensor,
  w: FluxSingleTransformerBlock,
  vectors: Tensor,
  o: FluxBlockOptions,
): Tensor {
  const D = x.shape[2]!;
  const [normed, gate] = named("norm", () => adaLayerNormZeroSingle(x, vectors, o.dtype), [x, vectors]);
  const hidden = named("proj_mlp", () => geluTanh(dense(normed, w.proj_mlp, WIDENING * D)), [normed]);
  const mixed = named("attn", () => fluxAttention(normed, w.attn, o), [normed]);
  return gated(x, gate, named("proj_out", () => projectBoth(mixed, hidden, w.proj_out), [mixed, hidden]));
}

/**
 * A dense layer over both side by side, as the sum of two products, so that nothing is joined.
 * [B, N, D] and [B, N, 4 D] → [B, N, D]
 */
function projectBoth(mixed: Tensor, hidden: Tensor, { weight, bias }: Layer): Tensor {
  const [D, inner] = [mixed.shape[2], hidden.shape[2]] as [number, number];
  expectShape(weight, [D, D + inner]);
  expectShape(bias, [D]);
  const first = linear(mixed, { weight: weight.slice(1, 0, D) }, { dtype: "f32" }); // half a sum is not rounded to f16
  return linear(hidden, { weight: weight.slice(1, D), bias }).add(first);
}
