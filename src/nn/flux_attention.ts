import type { Shape } from "../core/shape.ts";
import { rmsNormRotary } from "../ops/rotary.ts";
import { cat, named, type Tensor } from "../tensor/mod.ts";
import { attend } from "./attend.ts";
import { dense, type Layer, type Projection } from "./layers.ts";

/** Weights of attention of tokens to each other. */
export interface FluxAttention {
  to_q: Layer;
  to_k: Layer;
  to_v: Layer;
  norm_q: Projection;
  norm_k: Projection;
}

/** Weights of attention of a picture's and a text's tokens to all of them. */
export interface FluxJointAttention extends FluxAttention {
  add_q_proj: Layer;
  add_k_proj: Layer;
  add_v_proj: Layer;
  norm_added_q: Projection;
  norm_added_k: Projection;
  to_out: [Layer];
  to_add_out: Layer;
}

/** What all attention of a model shares. */
export interface FluxAttentionOptions {
  heads: number;
  /** Where the tokens stand, texts first: tables of `fluxPosEmbed` [N + L, D / 2 / heads]. */
  cos: Tensor;
  sin: Tensor;
}

/** Tokens x [B, L, D] attend to each other; the heads' values side by side. → [B, L, D] */
export function fluxAttention(x: Tensor, w: FluxAttention, o: FluxAttentionOptions): Tensor {
  const q = part(x, "to_q", w.to_q, w.norm_q, o);
  const k = part(x, "to_k", w.to_k, w.norm_k, o);
  const v = headsOf(x, "to_v", w.to_v, o);
  const mixed = attend(rmsNormRotary([q], o.cos, o.sin), rmsNormRotary([k], o.cos, o.sin), v);
  return mixed.permute([0, 2, 1, 3]).reshape(x.shape);
}

/** A picture x [B, L, D] and a text c [B, N, D] attend to both. → [B, L, D] and [B, N, D] */
export function fluxJointAttention(
  x: Tensor,
  c: Tensor,
  w: FluxJointAttention,
  o: FluxAttentionOptions,
): [x: Tensor, c: Tensor] {
  const [B, L, D] = x.shape as Shape<3>;
  const N = c.shape[1]!;
  const q = part(x, "to_q", w.to_q, w.norm_q, o);
  const k = part(x, "to_k", w.to_k, w.norm_k, o);
  const addedQ = part(c, "add_q_proj", w.add_q_proj, w.norm_added_q, o);
  const addedK = part(c, "add_k_proj", w.add_k_proj, w.norm_added_k, o);
  const v = cat([headsOf(c, "add_v_proj", w.add_v_proj, o), headsOf(x, "to_v", w.to_v, o)], 2);
  const joinedQ = rmsNormRotary([addedQ, q], o.cos, o.sin);
  const joinedK = rmsNormRotary([addedK, k], o.cos, o.sin);
  const mixed = attend(joinedQ, joinedK, v).permute([0, 2, 1, 3]).reshape([B, N + L, D]);
  const [ofC, ofX] = [mixed.slice(1, 0, N), mixed.slice(1, N)];
  return [
    named("to_out.0", () => dense(ofX, w.to_out[0], D), [ofX]),
    named("to_add_out", () => dense(ofC, w.to_add_out, D), [ofC]),
  ];
}

function part(x: Tensor, name: string, w: Layer, norm: Projection, o: FluxAttentionOptions) {
  return { x: headsOf(x, name, w, o), weight: norm.weight };
}

/** A projection as heads [B, heads, L, D / heads], a view. */
function headsOf(x: Tensor, name: string, w: Layer, { heads }: FluxAttentionOptions): Tensor {
  const [B, L, D] = x.shape as Shape<3>;
  return named(name, () => dense(x, w, D), [x]).reshape([B, L, heads, D / heads]).permute([0, 2, 1, 3]);
}
