import type { Shape } from "../../core/shape.ts";
import type { DType } from "../../core/dtype.ts";
import { cat, type Tensor } from "../../tensor/mod.ts";
import { gemm } from "../gemm/gemm.ts";
import type { Layout } from "../gemm/problem.ts";
import { softmaxRows } from "../norm/softmax.ts";
import type { AttentionOptions } from "./operands.ts";

/** Factor on probabilities while f16 holds them: those from 2^-24 on then keep all their digits. */
const LIFT = 1024;
const MOST_SCORES = 8 << 20; // scores in memory at once: 32 MiB of f32

/**
 * Attention as a product, a softmax and a product, in blocks of queries, so that the scores of a long sequence are never
 * in memory at once. q [B, H, L, D], k and v [B, H, S, D], or fewer heads as in `attention` → [B, H, L, D], stored as [B, L, H, D].
 */
export function attentionInBlocks(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions): Tensor {
  const [B, H, L] = q.shape as Shape<4>;
  const S = k.shape[2]!;
  const block = Math.max(1, Math.floor(MOST_SCORES / (B * H * S)));
  const parts: Tensor[] = [];
  for (let first = 0; first < L; first += block) {
    const last = Math.min(L, first + block);
    const mask = options.mask && maskOf(options.mask, first, last);
    const probs = attentionProbs(q.slice(2, first, last), k, { ...options, mask }, first);
    const halves = q.device.traits.matrices.length > 0 && q.dtype === "f16" && v.dtype === "f16";
    parts.push(
      halves
        ? mixValues(probs.mul(LIFT).to("f16"), v, "f32").mul(1 / LIFT).to("f16")
        : mixValues(probs, v, q.dtype),
    );
  }
  return parts.length === 1 ? parts[0]! : cat(parts, 2);
}

/** The mask of some of the queries; a mask of one row serves all. */
function maskOf(mask: Tensor, first: number, last: number): Tensor {
  return mask.shape.at(-2) === 1 || mask.rank < 2 ? mask : mask.slice(-2, first, last);
}

/**
 * The share that each query takes of each key: softmax(scale · q kᵀ + mask), in f32. `first` is the number of
 * the first query. q [B, H, L, D], k [B, H or fewer, S, D] → [B, H, L, S], dense.
 */
export function attentionProbs(q: Tensor, k: Tensor, options: AttentionOptions, first = 0): Tensor {
  const [B, H, L, D] = q.shape as Shape<4>;
  const S = k.shape[2]!;
  const [x, keys] = [unitColumns(q), unitColumns(forEachHead(k, H))];
  const dense = [H * L * S, L * S, S, 1] as const;
  let scores = gemm({
    x,
    w: keys,
    batch: [B, H],
    m: L,
    n: S,
    k: D,
    xLayout: layoutOf(x),
    wLayout: layoutOf(keys),
    order: "nk",
    shape: [B, H, L, S],
    layout: dense,
    strides: dense,
    dtype: "f32",
  }).mul(options.scale ?? 1 / Math.sqrt(D));
  if (options.mask) scores = scores.add(options.mask);
  return softmaxRows(scores, { causal: options.causal ? { shift: first } : undefined, unseenZero: true });
}

/**
 * The sum of values by each query's shares. probs [B, H, L, S], v [B, H or fewer, S, D] → [B, H, L, D], stored as
 * [B, L, H, D].
 */
export function mixValues(probs: Tensor, v: Tensor, dtype: DType): Tensor {
  const [B, H, L, S] = probs.shape as Shape<4>;
  const width = v.shape[3]!;
  const [x, values] = [unitColumns(probs), unitColumns(forEachHead(v, H))];
  const out = [L * H * width, width, H * width, 1] as const; // [B, L, H, D], as the layer behind wants it
  return gemm({
    x,
    w: values,
    batch: [B, H],
    m: L,
    n: width,
    k: S,
    xLayout: layoutOf(x),
    wLayout: layoutOf(values),
    order: "kn",
    shape: [B, H, L, width],
    layout: out,
    strides: out,
    dtype,
  });
}

/** Keys or values with a head for each head of queries, copied where several share one. → [B, H, S, D] */
function forEachHead(x: Tensor, H: number): Tensor {
  const [B, heads, S, D] = x.shape as Shape<4>;
  if (heads === H) return x;
  return x.unsqueeze(2).expand([B, heads, H / heads, S, D]).reshape([B, H, S, D]);
}

/** The tensor with its last axis contiguous in memory. */
export function unitColumns(x: Tensor): Tensor {
  return x.strides[3] === 1 ? x : x.contiguous();
}

function layoutOf({ strides }: Tensor): Layout {
  return { z0: strides[0]!, z1: strides[1]!, row: strides[2]! };
}
