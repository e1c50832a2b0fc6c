import type { Shape, Tuple } from "../../core/shape.ts";
import { attend } from "../../nn/attention.ts";
import { dense, expectShape, type Layer, project, type Projection } from "../../nn/layers.ts";
import { linearThree, type Weights3 } from "../../ops/linear_three.ts";
import { type Affine, rmsNorm, rmsNormRotary, rotary } from "../../ops/mod.ts";
import { cat, isWanted, labelled, named, type Tensor } from "../../tensor/mod.ts";

/** Weights of the norms of a stream's queries and keys. */
export interface FluxHeadNorms {
  norm_q: Projection;
  norm_k: Projection;
}

/** Weights of attention of tokens to each other. Layers have biases where the options say so. */
export interface FluxAttention extends FluxHeadNorms {
  to_q: Affine;
  to_k: Affine;
  to_v: Affine;
}

/** Weights of attention of a picture's and a text's tokens to all of them. */
export interface FluxJointAttention extends FluxAttention {
  add_q_proj: Affine;
  add_k_proj: Affine;
  add_v_proj: Affine;
  norm_added_q: Projection;
  norm_added_k: Projection;
  to_out: [Affine];
  to_add_out: Affine;
}

/** Options of all attention of a model. */
export interface FluxAttentionOptions {
  heads: number;
  /** Tables of the tokens' positions, texts first, made by `fluxPosEmbed` [N + L, D / 2 / heads]. */
  cos: Tensor;
  sin: Tensor;
  /** Added to the mean square in the norms of queries and keys; 1e-6 by default. */
  eps?: number | undefined;
  /** False where all layers were trained without biases, as in FLUX.2; true by default. */
  biases?: boolean | undefined;
}

/** Tokens x [B, L, D] attend to each other; the heads' values side by side. → [B, L, D] */
export function fluxAttention(x: Tensor, w: FluxAttention, o: FluxAttentionOptions): Tensor {
  return fluxSelfAttention(projections(x, w, ["to_q", "to_k", "to_v"], o), w, o);
}

/** The same for queries, keys and values [B, L, D] that were projected already. → [B, L, D] */
export function fluxSelfAttention(
  [q, k, v]: Readonly<Tuple<Tensor, 3>>,
  w: FluxHeadNorms,
  o: FluxAttentionOptions,
): Tensor {
  const rotatedQ = rotated([{ name: "norm_q", x: q, w: w.norm_q }], o);
  const rotatedK = rotated([{ name: "norm_k", x: k, w: w.norm_k }], o);
  return attend(rotatedQ, rotatedK, headsOf(v, o)).permute([0, 2, 1, 3]).reshape(q.shape);
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
  const joinedQ = rotated([
    { name: "norm_added_q", x: addedQ, w: w.norm_added_q },
    { name: "norm_q", x: q, w: w.norm_q },
  ], o);
  const joinedK = rotated([
    { name: "norm_added_k", x: addedK, w: w.norm_added_k },
    { name: "norm_k", x: k, w: w.norm_k },
  ], o);
  const values = cat([headsOf(addedV, o), headsOf(v, o)], 2);
  const mixed = attend(joinedQ, joinedK, values).permute([0, 2, 1, 3]).reshape([B, N + L, D]);
  const [ofC, ofX] = [mixed.slice(1, 0, N), mixed.slice(1, N)];
  return [
    named("to_out.0", () => apply(ofX, w.to_out[0], o), [ofX]),
    named("to_add_out", () => apply(ofC, w.to_add_out, o), [ofC]),
  ];
}

/** A layer that keeps the width of a token. x [B, L, D] → [B, L, D] */
function apply(x: Tensor, w: Affine, { biases = true }: FluxAttentionOptions): Tensor {
  const D = x.shape.at(-1)!;
  return biases ? dense(x, w as Layer, D) : project(x, w, D);
}

/** Values of each head [B, L, D] → [B, heads, L, D / heads], a view. */
function headsOf(x: Tensor, { heads }: FluxAttentionOptions): Tensor {
  const [B, L, D] = x.shape as Shape<3>;
  return x.reshape([B, L, heads, D / heads]).permute([0, 2, 1, 3]);
}

/** Queries or keys [B, L, D] of one stream, with the norm's weight and its name in the model. */
interface NormedPart {
  readonly name: string;
  readonly x: Tensor;
  readonly w: Projection;
}

/** Heads of one stream or of two in turn, normalised and rotated, in one dispatch unless a norm's result is asked for. */
function rotated(parts: readonly [NormedPart, NormedPart?], o: FluxAttentionOptions): Tensor {
  const { cos, sin, eps } = o;
  const given = parts.filter((part) => part !== undefined);
  if (!given.map(({ name }) => isWanted(name)).some(Boolean)) {
    const heads = given.map(({ x, w: { weight } }) => ({ x: headsOf(x, o), weight }));
    return rmsNormRotary(heads as unknown as Parameters<typeof rmsNormRotary>[0], cos, sin, { eps });
  }
  const normed = given.map(({ name, x, w }) => {
    const tokens = headsOf(x, o).permute([0, 2, 1, 3]); // as the part has them: [B, L, heads, D / heads]
    return named(name, () => rmsNorm(tokens, w, { eps }), [tokens]).permute([0, 2, 1, 3]);
  });
  return rotary(cat(normed, 2), cos, sin);
}

/** Three projections [B, L, D], views; one dispatch where one can make them. */
function projections<Name extends string>(
  x: Tensor,
  w: Readonly<Record<Name, Affine>>,
  names: readonly [Name, Name, Name],
  o: FluxAttentionOptions,
): Readonly<Tuple<Tensor, 3>> {
  const D = x.shape[2]!;
  const layers = names.map((name) => w[name]);
  const list = (key: keyof Layer, shape: readonly number[]) =>
    layers.map((layer) => {
      expectShape(layer[key]!, shape);
      return layer[key];
    }) as unknown as Weights3;
  const weights = list("weight", [D, D]);
  const biases = o.biases === false ? undefined : list("bias", [D]);
  const joined = labelled("qkv", () => linearThree(x, weights, biases));
  const three = names.map((name, i) => named(name, () => joined?.[i] ?? apply(x, layers[i]!, o), [x]));
  return three as unknown as Tuple<Tensor, 3>;
}
