import type { Shape } from "../../core/shape.ts";
import { named, type Tensor } from "../../tensor/mod.ts";
import {
  type BasicTransformerBlock,
  basicTransformerBlock,
  type BasicTransformerBlockOptions,
} from "./basic_transformer_block.ts";
import { conv1x1, dense, type Layer, norm } from "../../nn/layers.ts";

/** Weights of a transformer over the pixels of a picture. */
export interface Transformer2D {
  norm: Layer;
  proj_in: Layer;
  transformer_blocks: BasicTransformerBlock[];
  proj_out: Layer;
}

/** Options of `transformer2D`. */
export interface Transformer2DOptions extends BasicTransformerBlockOptions {
  /** Transformer blocks. */
  layers: number;
  /** Groups of channels in the norm. */
  groups: number;
  /**
   * The projections are dense layers, not convolutions: the same numbers, kept with two axes instead of four.
   */
  linearProjection: boolean;
}

/** Pixels attend to each other and to the prompt's `context` [B, S, K]. x [B, C, H, W] → [B, C, H, W]. */
export function transformer2D(x: Tensor, w: Transformer2D, context: Tensor, o: Transformer2DOptions): Tensor {
  const [B, C, H, W] = x.shape as Shape<4>;
  const inner = Math.floor(C / o.heads) * o.heads; // heads are of whole channels
  const normed = named("norm", () => norm(x, w.norm, { groups: o.groups, eps: 1e-6 }), [x]);
  const layer = (name: string, t: Tensor, w: Layer, width: number) =>
    named(name, () => o.linearProjection ? dense(t, w, width) : conv1x1(t, w, width), [t]);

  let tokens = o.linearProjection
    ? layer("proj_in", toTokens(normed), w.proj_in, inner)
    : toTokens(layer("proj_in", normed, w.proj_in, inner));
  for (let i = 0; i < o.layers; i++) {
    const block = w.transformer_blocks[i]!;
    const run = () => basicTransformerBlock(tokens, block, context, o);
    tokens = named(`transformer_blocks.${i}`, run, [tokens, context]);
  }
  const toPicture = (t: Tensor) => t.permute([0, 2, 1]).reshape([B, -1, H, W]);
  const out = o.linearProjection
    ? toPicture(layer("proj_out", tokens, w.proj_out, C))
    : layer("proj_out", toPicture(tokens), w.proj_out, C);
  return out.add(x);
}

/** [B, C, H, W] → [B, H · W, C], a view, as channels are innermost in memory. */
function toTokens(x: Tensor): Tensor {
  const [B, C] = x.shape as Shape<2>;
  return x.reshape([B, C, -1]).permute([0, 2, 1]);
}
