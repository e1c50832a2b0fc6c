import { isPacked } from "../core/dtype.ts";
import { lowRankOf, noteProducts } from "../ops/low_rank.ts";
import { linear } from "../ops/mod.ts";
import { cat, labelled, type Tensor } from "../tensor/mod.ts";
import { dense, type Layer } from "./layers.ts";

/** What a residual block's `time_emb_proj`, of so many outputs, makes of the time. → [B, width] */
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

/** Whether the weights can be joined, on an adapter that gains by it: a software adapter does not. */
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
