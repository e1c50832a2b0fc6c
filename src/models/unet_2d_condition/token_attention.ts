import type { Shape } from "../../core/shape.ts";
import { linearThree } from "../../ops/linear_three.ts";
import { labelled, named, type Tensor } from "../../tensor/mod.ts";
import { attend } from "../../nn/attention.ts";
import { dense, expectShape, type Layer, project, type Projection } from "../../nn/layers.ts";

/** Weights of attention of tokens to each other, or to those of a prompt. */
export interface TokenAttention {
  to_q: Projection;
  to_k: Projection;
  to_v: Projection;
  to_out: [Layer];
}

/** Options of `tokenAttention`. */
export interface TokenAttentionOptions {
  heads: number;
  /** Added to the scores [B, 1, 1, S]. */
  mask?: Tensor | undefined;
}

/** Tokens x [B, N, D] attend to `context` [B, S, K], which may be themselves. → [B, N, D] */
export function tokenAttention(
  x: Tensor,
  w: TokenAttention,
  context: Tensor,
  { heads, mask }: TokenAttentionOptions,
): Tensor {
  const [B, N, D] = x.shape as Shape<3>;
  const split = (t: Tensor) => t.reshape([B, -1, heads, D / heads]).permute([0, 2, 1, 3]);
  const own = context === x ? ownProjections(x, w) : undefined;
  const q = split(named("to_q", () => own?.[0] ?? project(x, w.to_q, D), [x]));
  const k = split(named("to_k", () => own?.[1] ?? project(context, w.to_k, D), [context]));
  const v = split(named("to_v", () => own?.[2] ?? project(context, w.to_v, D), [context]));
  const mixed = attend(q, k, v, { mask }).permute([0, 2, 1, 3]).reshape([B, N, D]);
  return named("to_out.0", () => dense(mixed, w.to_out[0], D), [mixed]);
}

/**
 * Queries, keys and values of tokens that attend to each other,
 * where one dispatch makes them. → three times [B, N, D]
 */
function ownProjections(x: Tensor, { to_q, to_k, to_v }: TokenAttention): Tensor[] | undefined {
  const D = x.shape[2]!;
  const weights = [to_q.weight, to_k.weight, to_v.weight] as const;
  for (const weight of weights) expectShape(weight, [D, D]);
  return labelled("to_qkv", () => linearThree(x, weights));
}
