import { expectOptions } from "../../core/error.ts";
import { size } from "../../core/shape.ts";
import type { Candidate } from "../../graph/node.ts";
import { recordChoice, type Tensor, zeros } from "../../tensor/mod.ts";
import { attentionInBlocks, unitColumns } from "./blocks.ts";
import { type Attention, type AttentionOptions, sizesOf } from "./operands.ts";
import { selectKernel, shapeClassOf } from "./select.ts";

/**
 * softmax(scale · q kᵀ + mask) v for each head (Vaswani et al. 2017). q [B, H, L, D], k and v [B, H, S, D] →
 * [B, H, L, D], stored as [B, L, H, D]. One dispatch, the scores of a long sequence never in memory. Of fewer heads of keys
 * and values, [B, H / G, S, D], each serves G heads of queries that follow one another (Ainslie et al. 2023).
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  expectOptions("attend", options, ["scale", "causal", "mask"]);
  const [B, H, , D] = q.shape;
  const S = k.shape[2]!;
  const heads = k.shape[1]!;
  const fits = (t: Tensor) => t.rank === 4 && t.shape[0] === B && t.shape[1] === heads && t.shape[2] === S;
  if (!fits(k) || !fits(v) || k.shape[3] !== D || H! % heads !== 0) {
    throw new RangeError(
      `Cannot attend with ${q} to ${k} and ${v}: expected [B, H, L, D] and twice [B, H, S, D], or a divisor of H`,
    );
  }
  const shape = q.shape.with(3, v.shape[3]!);
  if (S === 0 || size(shape) === 0) return zeros(shape).cast(q.dtype); // as torch, without keys too
  const { scale = 1 / Math.sqrt(D!), causal = false } = options;
  const [rows, keys, values] = [q, k, v].map(unitColumns) as [Tensor, Tensor, Tensor];
  const mask = options.mask?.expand([B!, H!, q.shape[2]!, S]);
  const a: Attention = { q: rows, k: keys, v: values, mask, scale, causal };
  const candidates = D! > 0 ? selectKernel(q.device.traits, a, q.device.choice.candidate) : [];
  return candidates.length > 0 ? recordAttention(candidates, a) : attentionInBlocks(q, k, v, options);
}

/** Records attention in one dispatch by one of some kernels. */
export function recordAttention(candidates: readonly Candidate[], a: Attention): Tensor {
  const { batch: [B, H], queries: L, keys, width, columns } = sizesOf(a);
  return recordChoice("attention", {
    candidates,
    shapeClass: shapeClassOf(a),
    inputs: [a.q, a.k, a.v, ...(a.mask ? [a.mask] : [])],
    shape: [B, H, L, columns],
    dtype: a.q.dtype,
    layout: [L * H * columns, columns, H * columns, 1], // [B, L, H, D], as the layer behind wants it
    strides: [L * H * columns, columns, H * columns, 1],
    axes: [B, H, L, columns],
    flops: 2 * B * H * L * keys * (width + columns),
  });
}
