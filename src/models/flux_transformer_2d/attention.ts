import type { Shape, Tuple } from "../../core/shape.ts";
import { attend } from "../../nn/attention.ts";
import { dense, expectShape, type Layer, type Projection } from "../../nn/layers.ts";
import { linearThree, type Weights3 } from "../../ops/linear_three.ts";
import { rmsNormRotary } from "../../ops/rotary.ts";
import { cat, labelled, named, type Tensor } from "../../tensor/mod.ts";

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

/** Options of all attention of a model. */
export interface FluxAttentionOptions {
  heads: number;
  /** Tables of the tokens' positions, texts first, made by `fluxPosEmbed` [N + L, D / 2 / heads]. */
  cos: Tensor;
  sin: Tensor;
}

/** Tokens x [B, L, D] attend to each other; the heads' values side by side. → [B, L, D] */
export function fluxAttention(x: Tensor, w: FluxAttention, o: FluxAttentionOptions): Tensor {
  const [q, k, v] = projections(x, w, ["to_q", "to_k", "to_v"], o);
  const rotated = (x: Tensor, { weight }: Projection) => rmsNormRotary([{ x, weight }], o.cos, o.sin);
  const mixed = attend(rotated(q, w.norm_q), rotated(k, w.norm_k), v);
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
  const [q, k, v] = projections(x, w, ["to_q", "to_k", "to_v"], o);
  const [addedQ, addedK, addedV] = projections(c, w, ["add_q_proj", "add_k_proj", "add_v_proj"], o);
  const rotated = (added: Tensor, ofAdded: Projection, x: Tensor, { weight }: Projection) =>
    rmsNormRotary([{ x: added, weight: ofAdded.weight }, { x, weight }], o.cos, o.sin);
  const joinedQ = rotated(addedQ, w.norm_added_q, q, w.norm_q);
  const joinedK = rotated(addedK, w.norm_added_k, k, w.norm_k);
  const mixed = attend(joinedQ, joinedK, cat([addedV, v], 2)).permute([0, 2, 1, 3]).reshape([B, N + L, D]);
  const [ofC, ofX] = [mixed.slice(1, 0, N), mixed.slice(1, N)];
  return [
    named("to_out.0", () => dense(ofX, w.to_out[0], D), [ofX]),
    named("to_add_out", () => dense(ofC, w.to_add_out, D), [ofC]),
  ];
}

/** Three projections as heads [B, heads, L, D / heads], views; one dispatch where one can make them. */
function projections<Name extends string>(
  x: Tensor,
  w: Readonly<Record<Name, Layer>>,
  names: readonly [Name, Name, Name],
  { heads }: FluxAttentionOptions,
): Readonly<Tuple<Tensor, 3>> {
  const [B, L, D] = x.shape as Shape<3>;
  const layers = names.map((name) => w[name]) as [Layer, Layer, Layer];
  for (const { weight, bias } of layers) {
    expectShape(weight, [D, D]);
    expectShape(bias, [D]);
  }
  const list = (key: keyof Layer) => layers.map((layer) => layer[key]) as unknown as Weights3;
  const joined = labelled("qkv", () => linearThree(x, list("weight"), list("bias")));
  const split = (t: Tensor) => t.reshape([B, L, heads, D / heads]).permute([0, 2, 1, 3]);
  const heads3 = names.map((name, i) =>
    split(named(name, () => joined?.[i] ?? dense(x, layers[i]!, D), [x]))
  );
  return heads3 as unknown as Tuple<Tensor, 3>;
}
