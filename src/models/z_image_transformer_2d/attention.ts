import type { Shape, Tuple } from "../../core/shape.ts";
import { attend } from "../../nn/attention.ts";
import { expectShape, project, type Projection } from "../../nn/layers.ts";
import { linearThree, type Weights3 } from "../../ops/linear_three.ts";
import { rmsNorm, rmsNormRotary, rotary } from "../../ops/mod.ts";
import { isWanted, labelled, named, type Tensor } from "../../tensor/mod.ts";

/** Weights of attention of tokens to each other. */
export interface ZImageAttention {
  to_q: Projection;
  to_k: Projection;
  to_v: Projection;
  /** In models with qk_norm. */
  norm_q?: Projection | undefined;
  norm_k?: Projection | undefined;
  to_out: [Projection];
}

/** Options of attention. */
export interface ZImageAttentionOptions {
  heads: number;
  /** Width of a head; D of the heads need not be D of a token. */
  headWidth: number;
  /** Queries and keys are normalised. */
  qkNorm: boolean;
  /** Tables of the tokens' angles [L, headWidth / 2], or of each row's [B, L, headWidth / 2]. */
  cos: Tensor;
  sin: Tensor;
  /** Added to the scores. [B, 1, 1, L] */
  mask?: Tensor | undefined;
}

const EPS = 1e-5; // of the norms of heads, whatever the config has for those of tokens

/** Tokens x [B, L, D] attend to each other. → [B, L, D] f32, as f16 does not hold the result of to_out */
export function zImageAttention(x: Tensor, w: ZImageAttention, o: ZImageAttentionOptions): Tensor {
  const [B, L, D] = x.shape as Shape<3>;
  const [q, k, v] = projections(x, w, o);
  const [queries, keys] = [rotated("norm_q", q, w, o), rotated("norm_k", k, w, o)];
  const mixed = attend(queries, keys, v, { mask: o.mask }).permute([0, 2, 1, 3])
    .reshape([B, L, o.heads * o.headWidth]);
  return named("to_out.0", () => project(mixed, w.to_out[0], D, { dtype: "f32" }), [mixed]);
}

/** Queries, keys and values as heads [B, heads, L, headWidth], views; one dispatch where one can make them. */
function projections(
  x: Tensor,
  w: ZImageAttention,
  { heads, headWidth }: ZImageAttentionOptions,
): Readonly<Tuple<Tensor, 3>> {
  const [B, L, D] = x.shape as Shape<3>;
  const names = ["to_q", "to_k", "to_v"] as const;
  const width = heads * headWidth;
  for (const name of names) expectShape(w[name].weight, [width, D]);
  const weights = names.map((name) => w[name].weight) as unknown as Weights3;
  const joined = labelled("qkv", () => linearThree(x, weights));
  const split = (t: Tensor) => t.reshape([B, L, heads, headWidth]).permute([0, 2, 1, 3]);
  const three = names.map((name, i) =>
    split(named(name, () => joined?.[i] ?? project(x, w[name], width), [x]))
  );
  return three as unknown as Tuple<Tensor, 3>;
}

/** Heads normalised, if the model does so, and rotated; in one dispatch unless the norm's result is asked for. */
function rotated(
  name: "norm_q" | "norm_k",
  x: Tensor,
  w: ZImageAttention,
  { headWidth, qkNorm, cos, sin }: ZImageAttentionOptions,
): Tensor {
  if (!qkNorm) return rotary(x, cos, sin);
  const { weight } = w[name]!;
  expectShape(weight, [headWidth]);
  if (!isWanted(name)) return rmsNormRotary([{ x, weight }], cos, sin, { eps: EPS });
  const tokens = x.permute([0, 2, 1, 3]); // as diffusers has them, [B, L, heads, headWidth]
  const normed = named(name, () => rmsNorm(tokens, { weight }, { eps: EPS }), [tokens]);
  return rotary(normed.permute([0, 2, 1, 3]), cos, sin);
}
