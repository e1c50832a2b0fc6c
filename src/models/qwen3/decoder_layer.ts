import type { DType } from "../../core/dtype.ts";
import type { Shape } from "../../core/shape.ts";
import { activation, type HiddenActName } from "../../nn/activations.ts";
import { attend } from "../../nn/attention.ts";
import { gatedFeedForward } from "../../nn/gated_feed_forward.ts";
import { expectShape, type Projection } from "../../nn/layers.ts";
import { type Affine, linear, rmsNorm, rmsNormRotary } from "../../ops/mod.ts";
import { named, type Tensor } from "../../tensor/mod.ts";

/** Weights of a layer of Qwen3; the projections of attention have biases where the config says so. */
export interface Qwen3DecoderLayer {
  input_layernorm: Projection;
  self_attn: {
    q_proj: Affine;
    k_proj: Affine;
    v_proj: Affine;
    o_proj: Affine;
    q_norm: Projection;
    k_norm: Projection;
  };
  post_attention_layernorm: Projection;
  mlp: { gate_proj: Projection; up_proj: Projection; down_proj: Projection };
}

/** Options of `qwen3DecoderLayer`. */
export interface Qwen3DecoderLayerOptions {
  /** Heads of queries. */
  heads: number;
  /** Heads of keys and values, each of which serves several of queries. */
  keyHeads: number;
  /** Width of a head. */
  headDim: number;
  /** Width between the dense layers. */
  intermediate: number;
  act: HiddenActName;
  eps: number;
  /** The projections of attention have biases. */
  bias: boolean;
  /** Tables of positions [N, headDim / 2]. */
  cos: Tensor;
  sin: Tensor;
  /** Added to scores. */
  mask?: Tensor | undefined;
  /** dtype of the work between the norms and the sums. */
  dtype: DType;
}

const F32 = { dtype: "f32" } as const; // for what is added to the states

/**
 * Attention of each token to itself and those before it, then gated dense layers (Yang et al. 2025,
 * https://arxiv.org/abs/2505.09388). x [B, N, D] f32 → [B, N, D] f32: states grow to more than f16 holds.
 */
export function qwen3DecoderLayer(x: Tensor, w: Qwen3DecoderLayer, o: Qwen3DecoderLayerOptions): Tensor {
  const normed = named("input_layernorm", () => qwen3Norm(x, w.input_layernorm, o.eps), [x]).cast(o.dtype);
  const sum = x.add(named("self_attn", () => selfAttention(normed, w.self_attn, o), [normed]));
  const h = named("post_attention_layernorm", () => qwen3Norm(sum, w.post_attention_layernorm, o.eps), [sum])
    .cast(o.dtype);
  return sum.add(named("mlp", () => feedForward(h, w.mlp, o), [h]));
}

/** Root mean square normalisation of each token. x [B, N, D]. */
export function qwen3Norm(x: Tensor, w: Projection, eps: number): Tensor {
  expectShape(w.weight, [x.shape[2]!]);
  return rmsNorm(x, w, { eps });
}

/** Heads of queries and keys are normalised before they are turned. → [B, N, D] f32 */
function selfAttention(x: Tensor, w: Qwen3DecoderLayer["self_attn"], o: Qwen3DecoderLayerOptions): Tensor {
  const [B, N, D] = x.shape as Shape<3>;
  const { headDim, cos, sin, eps } = o;
  const heads = (name: "q_proj" | "k_proj" | "v_proj", count: number) => {
    const y = named(name, () => biased(x, w[name], count * headDim, o), [x]);
    return y.reshape([B, N, count, headDim]).permute([0, 2, 1, 3]);
  };
  const turned = (x: Tensor, { weight }: Projection) =>
    rmsNormRotary([{ x, weight }], cos, sin, { eps, pairs: "halves" });
  const q = turned(heads("q_proj", o.heads), w.q_norm);
  const k = turned(heads("k_proj", o.keyHeads), w.k_norm);
  const mixed = attend(q, k, heads("v_proj", o.keyHeads), { causal: true, mask: o.mask });
  const tokens = mixed.permute([0, 2, 1, 3]).reshape([B, N, o.heads * headDim]);
  return named("o_proj", () => biased(tokens, w.o_proj, D, o, F32), [tokens]);
}

function biased(
  x: Tensor,
  w: Affine,
  width: number,
  { bias }: Qwen3DecoderLayerOptions,
  options?: typeof F32,
): Tensor {
  expectShape(w.weight, [width, x.shape[2]!]);
  if (!bias) return linear(x, { weight: w.weight }, options);
  expectShape(w.bias!, [width]);
  return linear(x, w, options);
}

/** x [B, N, D] → [B, N, D] f32 */
function feedForward(x: Tensor, w: Qwen3DecoderLayer["mlp"], o: Qwen3DecoderLayerOptions): Tensor {
  const { gate_proj, up_proj, down_proj } = w;
  return gatedFeedForward(x, {
    gate: ["gate_proj", gate_proj],
    value: ["up_proj", up_proj],
    out: ["down_proj", down_proj],
  }, { hidden: o.intermediate, act: activation(o.act) });
}
