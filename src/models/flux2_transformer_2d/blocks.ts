import type { DType } from "../../core/dtype.ts";
import type { Tuple } from "../../core/shape.ts";
import { LOWERED } from "../../nn/gated_feed_forward.ts";
import { expectShape, project, type Projection } from "../../nn/layers.ts";
import { linear, silu } from "../../ops/mod.ts";
import { isWanted, labelled, named, type Tensor } from "../../tensor/mod.ts";
import {
  type FluxAttentionOptions,
  type FluxHeadNorms,
  type FluxJointAttention,
  fluxJointAttention,
  fluxSelfAttention,
} from "../flux_transformer_2d/attention.ts";
import { gated, modulate, plainNorm, projectBoth } from "../flux_transformer_2d/blocks.ts";

/** Weights of a block in which picture and text are streams of their own. No layer has a bias. */
export interface Flux2TransformerBlock {
  attn: FluxJointAttention;
  ff: Flux2FeedForward;
  ff_context: Flux2FeedForward;
}

/** Weights of a gated feed-forward layer. */
export interface Flux2FeedForward {
  /** The gate's rows, then the values'. [2 mlp, D] */
  linear_in: Projection;
  linear_out: Projection;
}

/** Weights of a block in which text and picture are one stream. */
export interface Flux2SingleTransformerBlock {
  attn: FluxHeadNorms & {
    /** Rows of queries, keys, values, gate and values of the feed-forward layer. [3 D + 2 mlp, D] */
    to_qkv_mlp_proj: Projection;
    /** Columns for attention, then for the feed-forward layer. [D, D + mlp] */
    to_out: Projection;
  };
}

/** Options of all blocks. */
export interface Flux2BlockOptions extends FluxAttentionOptions {
  /** Width of feed-forward layers. */
  mlp: number;
  /** Added to variances and mean squares in all norms. */
  eps: number;
  /** dtype of the operands of products; the residual streams are f32. */
  dtype: DType;
}

/**
 * One block of FLUX.2's dual stream: joint attention, then a feed-forward layer for each stream. The text c
 * [B, N, D], the picture x [B, L, D] and the modulation of both [B, 6 D] each → the streams.
 */
export function flux2TransformerBlock(
  [c, x]: readonly [Tensor, Tensor],
  w: Flux2TransformerBlock,
  { img, txt }: { img: Tensor; txt: Tensor },
  o: Flux2BlockOptions,
): [Tensor, Tensor] {
  const ofX = img.chunk(6, 1) as Tuple<Tensor, 6>;
  const ofC = txt.chunk(6, 1) as Tuple<Tensor, 6>;
  const normedX = modulate(normed("norm1", x, o), ofX[1], ofX[0], o.dtype);
  const normedC = modulate(normed("norm1_context", c, o), ofC[1], ofC[0], o.dtype);
  const attended = () => fluxJointAttention(normedX, normedC, w.attn, o);
  const [mixedX, mixedC] = named("attn", attended, [normedX, normedC]);
  return [
    behindAttention(c, mixedC, ofC, w.ff_context, "_context", o),
    behindAttention(x, mixedX, ofX, w.ff, "", o),
  ];
}

/** The rest of a block in one stream: attention joins it, then a feed-forward layer does. */
function behindAttention(
  x: Tensor,
  mixed: Tensor,
  [, , gateMsa, shiftMlp, scaleMlp, gateMlp]: Readonly<Tuple<Tensor, 6>>,
  w: Flux2FeedForward,
  suffix: string,
  o: Flux2BlockOptions,
): Tensor {
  const sum = gated(x, gateMsa, mixed);
  const modulated = modulate(normed(`norm2${suffix}`, sum, o), scaleMlp, shiftMlp, o.dtype);
  return gated(sum, gateMlp, named(`ff${suffix}`, () => feedForward(modulated, w, o), [modulated]));
}

/**
 * One block of FLUX.2's single stream: attention beside a feed-forward layer (Dehghani et al. 2023,
 * https://arxiv.org/abs/2302.05442). x [B, N + L, D] and its modulation [B, 3 D] → [B, N + L, D].
 */
export function flux2SingleTransformerBlock(
  x: Tensor,
  w: Flux2SingleTransformerBlock,
  modulation: Tensor,
  o: Flux2BlockOptions,
): Tensor {
  const D = x.shape[2]!;
  const [shift, scale, gate] = modulation.chunk(3, 1);
  const input = modulate(normed("norm", x, o), scale, shift, o.dtype);
  const attended = () => {
    const widths = [3 * D, o.mlp, o.mlp] as const;
    const [qkv, ...halves] = projectParts("to_qkv_mlp_proj", input, w.attn.to_qkv_mlp_proj, widths);
    const mixed = fluxSelfAttention(qkv.chunk(3, 2), w.attn, o);
    const { hidden, factor } = swiglu("mlp_act_fn", halves);
    const both = () => projectBoth(mixed, hidden, { weight: w.attn.to_out.weight }, factor);
    return named("to_out", both, [mixed, hidden]);
  };
  return gated(x, gate, named("attn", attended, [input]));
}

/** Two dense layers with a gate between them. x [B, N, D] → [B, N, D]. */
function feedForward(x: Tensor, w: Flux2FeedForward, { mlp }: Flux2BlockOptions): Tensor {
  const halves = projectParts("linear_in", x, w.linear_in, [mlp, mlp]);
  const { hidden, factor } = swiglu("act_fn", halves);
  const out = () => project(hidden, w.linear_out, x.shape.at(-1)!, { dtype: "f32" }).mul(factor);
  return named("linear_out", out, [hidden]);
}

/**
 * SiLU(gate) · values (Shazeer 2020, https://arxiv.org/abs/2002.05202), the halves of a product, over `factor`, as f16 does
 * not hold all of them; as they are where the part is asked for.
 */
function swiglu(
  name: string,
  [gate, values]: readonly [Tensor, Tensor],
): { hidden: Tensor; factor: number } {
  if (isWanted(name)) {
    return { hidden: named(name, () => silu(gate).mul(values), [gate, values]), factor: 1 };
  }
  return { hidden: labelled(name, () => silu(gate).mul(LOWERED).mul(values)), factor: 1 / LOWERED };
}

/**
 * Parts of so many columns of x · weightᵀ: a product each, so that what follows a part alone joins its `store`,
 * or one where the whole is asked for. x [B, N, D], weight [Σ widths, D].
 */
function projectParts<const Widths extends readonly number[]>(
  name: string,
  x: Tensor,
  { weight }: Projection,
  widths: Widths,
): { -readonly [I in keyof Widths]: Tensor } {
  const ends = widths.map((_, i) => widths.slice(0, i + 1).reduce((a, b) => a + b, 0));
  expectShape(weight, [ends.at(-1)!, x.shape.at(-1)!]);
  const rows = ends.map((end, i) => [end - widths[i]!, end] as const);
  const whole = isWanted(name) ? named(name, () => linear(x, { weight }), [x]) : undefined;
  const parts = rows.map(([from, to]) =>
    whole?.slice(2, from, to) ?? labelled(name, () => linear(x, { weight: weight.slice(0, from, to) }))
  );
  return parts as { -readonly [I in keyof Widths]: Tensor };
}

/** Layer norm of each token under the name that the block has for it, without weights. */
function normed(name: string, x: Tensor, { eps }: Flux2BlockOptions): Tensor {
  return named(name, () => plainNorm(x, eps), [x]);
}
