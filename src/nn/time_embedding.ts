import { isPacked } from "../core/dtype.ts";
import { lowRankOf, noteProducts } from "../ops/low_rank.ts";
import { linear, silu } from "../ops/mod.ts";
import { cat, labelled, type Tensor } from "../tensor/mod.ts";
import { dense, expectShape, type Layer } from "./layers.ts";

/** Weights of the two dense layers behind a timestep's features. */
export interface TimestepEmbedding {
  linear_1: Layer;
  linear_2: Layer;
}

/** The embedding of time, of a timestep's features. x [B, K] → [B, width]. */
export function timestepEmbeddingMLP(
  x: Tensor,
  w: TimestepEmbedding,
  width: number,
  act: (x: Tensor) => Tensor = silu,
): Tensor {
  return dense(act(dense(x, w.linear_1, width)), w.linear_2, width);
}

/** 2π in parts of 8, 11 and 24 bits: a whole number below 2¹³ times either of the first two is exact in f32. */
const TWO_PI = [6.28125, 0.0019350051879882812, 3.0199159819e-7] as const;

/**
 * Random Fourier features [sin(2π · w · log t), cos(2π · w · log t)] (Tancik et al. 2020,
 * https://arxiv.org/abs/2006.10739). logT [B], w [width / 2] → [B, width].
 */
export function gaussianFourierProjection(logT: Tensor, w: { weight: Tensor }, width: number): Tensor {
  expectShape(w.weight, [width / 2]);
  // The products are in diffusers' order, and so have its roundings: angles reach thousands, where they count.
  const angle = logT.unsqueeze(1).mul(w.weight.cast("f32").unsqueeze(0)).mul(2).mul(Math.PI);
  // WGSL promises the precision of sin and cos on [-π, π] only.
  const cycles = angle.div(2 * Math.PI).round();
  const reduced = TWO_PI.reduce((rest, part) => rest.sub(cycles.mul(part)), angle);
  return cat([reduced.sin(), reduced.cos()], 1);
}

/** The projection of time by a residual block's `time_emb_proj`, of so many outputs. → [B, width] */
export type TimeProjections = (w: Layer, width: number) => Tensor;

/**
 * The projections of one embedding of time [B, T], already activated, by `layers`. On GPUs all are one
 * product: each by itself is too small to keep one at work. Their weights are joined for that when a trace
 * first runs.
 */
export function timeProjections(temb: Tensor, layers: Iterable<Layer | undefined>): TimeProjections {
  const joined = [...layers].filter((w) => w !== undefined);
  const parts = isOneProduct(temb, joined)
    ? labelled("time_emb_proj", () => projectJoined(temb, joined))
    : [];
  const known = new Map(parts.map((part, i) => [joined[i]!.weight, part]));
  return (w, width) => known.get(w.weight) ?? dense(temb, w, width);
}

/** True where the weights can be joined, on an adapter that gains by it: a software adapter does not. */
function isOneProduct(temb: Tensor, layers: readonly Layer[]): boolean {
  if (!temb.device.traits.joins || layers.length < 2) return false;
  if (layers.some(({ weight }) => lowRankOf(weight))) return false;
  const { dtype } = layers[0]!.weight;
  const fits = ({ weight }: Layer) =>
    weight.rank === 2 && weight.shape[1] === temb.shape[1] && weight.dtype === dtype;
  return !isPacked(dtype) && layers.every(fits);
}

function projectJoined(temb: Tensor, layers: readonly Layer[]): Tensor[] {
  noteProducts(...layers.map((w) => w.weight));
  const weight = cat(layers.map((w) => w.weight));
  const bias = cat(layers.map((w) => w.bias));
  return linear(temb, { weight, bias }).split(layers.map((w) => w.weight.shape[0]!), 1);
}
