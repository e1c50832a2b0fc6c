import { attention } from "../ops/mod.ts";
import { named, type Tensor } from "../tensor/mod.ts";
import { dense, type Layer, project, type Projection } from "./layers.ts";

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
  mask?: Tensor;
}

/** Tokens x [B, N, D] attend to `context` [B, S, K], which may be themselves. → [B, N, D] */
export function tokenAttention(
  x: Tensor,
  w: TokenAttention,
  context: Tensor,
  { heads, mask }: TokenAttentionOptions,
): Tensor {
  const [B, N, D] = x.shape;
  const split = (t: Tensor) => t.reshape([B, -1, heads, D / heads]).permute([0, 2, 1, 3]);
  const q = named("to_q", () => split(project(x, w.to_q, D)));
  const k = named("to_k", () => split(project(context, w.to_k, D)));
  const v = named("to_v", () => split(project(context, w.to_v, D)));
  const mixed = attention(q, k, v, { mask }).permute([0, 2, 1, 3]).reshape([B, N, D]);
  return named("to_out.0", () => dense(mixed, w.to_out[0], D));
}
