import { silu } from "../ops/mod.ts";
import { cat, type Tensor } from "../tensor/mod.ts";
import { dense, expectShape, type Layer } from "./layers.ts";

/** Weights of the two dense layers behind a timestep's features. */
export interface TimestepEmbedding {
  linear_1: Layer;
  linear_2: Layer;
}

/** Features of a timestep → what all blocks are told about time. x [B, K] → [B, width]. */
export function timestepEmbeddingMLP(
  x: Tensor,
  w: TimestepEmbedding,
  width: number,
  act: (x: Tensor) => Tensor = silu,
): Tensor {
  return dense(act(dense(x, w.linear_1, width)), w.linear_2, width);
}

/**
 * 2π in parts of 8, 11 and 24 bits:
 * a whole number of turns below 2¹³ times either of the first two is exact in f32.
 */
const turn = [6.28125, 0.0019350051879882812, 3.0199159819e-7] as const;

/**
 * Random Fourier features [sin(2π · w · log t), cos(2π · w · log t)] (Tancik et al. 2020,
 * https://arxiv.org/abs/2006.10739). logT [B], w [width / 2] → [B, width].
 */
export function gaussianFourierProjection(logT: Tensor, w: { weight: Tensor }, width: number): Tensor {
  expectShape(w.weight, [width / 2]);
  // The products are in the order, and so have the roundings, of diffusers: angles reach thousands, where they count.
  const angle = logT.unsqueeze(1).mul(w.weight.cast("f32").unsqueeze(0)).mul(2).mul(Math.PI);
  // WGSL promises the precision of sin and cos on [-π, π] only.
  const turns = angle.div(2 * Math.PI).round();
  const reduced = turn.reduce((rest, part) => rest.sub(turns.mul(part)), angle);
  return cat([reduced.sin(), reduced.cos()], 1);
}
