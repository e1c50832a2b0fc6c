import type { DType } from "../../core/dtype.ts";
import type { Tuple } from "../../core/shape.ts";
import { named, type Tensor } from "../../tensor/mod.ts";
import { type FluxAttentionOptions, type FluxJointAttention, fluxJointAttention } from "./attention.ts";
import { type FluxFeedForward, fluxFeedForward } from "./feed_forward.ts";
import { adaLayerNormZero, gated, modulate, tokenNorm } from "./norms.ts";

/**
 * Weights of a block in which picture and text are streams of their own,
 * but for the layers that tell of time.
 */
export interface FluxTransformerBlock {
  attn: FluxJointAttention;
  ff: FluxFeedForward;
  ff_context: FluxFeedForward;
}

/** What a block is told about time and prompt, [B, 6 D] each. */
export interface FluxBlockVectors {
  norm1: Tensor;
  norm1_context: Tensor;
}

/** What all blocks share. */
export interface FluxBlockOptions extends FluxAttentionOptions {
  /** Of what goes into products; the residual streams are f32. */
  dtype: DType;
}

/**
 * One block of FLUX's dual stream: joint attention, then a feed-forward layer for each stream. The text c
 * [B, N, D] and the picture x [B, L, D] → the same.
 */
export function fluxTransformerBlock(
  [c, x]: readonly [Tensor, Tensor],
  w: FluxTransformerBlock,
  vectors: FluxBlockVectors,
  o: FluxBlockOptions,
): [Tensor, Tensor] {
  const [normedX, ...toldX] = named(
    "norm1",
    () => adaLayerNormZero(x, vectors.norm1, o.dtype),
    [x, vectors.norm1],
  );
  const [normedC, ...toldC] = named(
    "norm1_context",
    () => adaLayerNormZero(c, vectors.norm1_context, o.dtype),
    [c, vectors.norm1_context],
  );
  const [mixedX, mixedC] = named(
    "attn",
    () => fluxJointAttention(normedX, normedC, w.attn, o),
    [normedX, normedC],
  );
  return [
    rest(c, mixedC, toldC, w.ff_context, "_context", o.dtype),
    rest(x, mixedX, toldX, w.ff, "", o.dtype),
  ];
}

/** What follows attention in one stream. */
function rest(
  x: Tensor,
  mixed: Tensor,
  [gateMsa, shiftMlp, scaleMlp, gateMlp]: Readonly<Tuple<Tensor, 4>>,
  w: FluxFeedForward,
  suffix: string,
  dtype: DType,
): Tensor {
  const sum = gated(x, gateMsa, mixed);
  const normed = named(`norm2${suffix}`, () => tokenNorm(sum), [sum]);
  const told = modulate(normed, scaleMlp, shiftMlp, dtype);
  return gated(sum, gateMlp, named(`ff${suffix}`, () => fluxFeedForward(told, w), [told]));
}
