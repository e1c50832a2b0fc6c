import type { Shape } from "../../core/shape.ts";
import { named, type Tensor } from "../../tensor/mod.ts";
import { attend } from "../../nn/attention.ts";
import { activation, type HiddenActName } from "../../nn/activations.ts";
import { dense, type Layer, layerNorm } from "../../nn/layers.ts";

/** Weights of a layer of CLIP's transformer. */
export interface CLIPEncoderLayer {
  layer_norm1: Layer;
  self_attn: { q_proj: Layer; k_proj: Layer; v_proj: Layer; out_proj: Layer };
  layer_norm2: Layer;
  mlp: { fc1: Layer; fc2: Layer };
}

/** Options of `clipEncoderLayer`. */
export interface CLIPEncoderLayerOptions {
  heads: number;
  /** Width of the layer between fc1 and fc2. */
  intermediate: number;
  act: HiddenActName;
  eps: number;
  /** Tokens see none of those behind them, as in texts. */
  causal: boolean;
  /** Added to the scores of each key [B, 1, 1, N]. */
  mask?: Tensor | undefined;
}

/** Attention of tokens to each other, then two dense layers. x [B, N, D] → [B, N, D]. */
export function clipEncoderLayer(x: Tensor, w: CLIPEncoderLayer, o: CLIPEncoderLayerOptions): Tensor {
  const h = named("layer_norm1", () => layerNorm(x, w.layer_norm1, o.eps), [x]);
  x = x.add(named("self_attn", () => selfAttention(h, w.self_attn, o), [h]));
  const normed = named("layer_norm2", () => layerNorm(x, w.layer_norm2, o.eps), [x]);
  const mlp = () => {
    const hidden = named("fc1", () => dense(normed, w.mlp.fc1, o.intermediate), [normed]);
    const active = activation(o.act)(hidden);
    return named("fc2", () => dense(active, w.mlp.fc2, x.shape[2]!), [active]);
  };
  return x.add(named("mlp", mlp, [normed]));
}

function selfAttention(
  x: Tensor,
  w: CLIPEncoderLayer["self_attn"],
  { heads, causal, mask }: CLIPEncoderLayerOptions,
): Tensor {
  const [B, N, D] = x.shape as Shape<3>;
  const split = (t: Tensor) => t.reshape([B, N, heads, D / heads]).permute([0, 2, 1, 3]); // [B, heads, N, D / heads]
  const part = (name: "q_proj" | "k_proj" | "v_proj") => split(named(name, () => dense(x, w[name], D), [x]));
  const mixed = attend(part("q_proj"), part("k_proj"), part("v_proj"), { causal, mask });
  const tokens = mixed.permute([0, 2, 1, 3]).reshape([B, N, D]);
  return named("out_proj", () => dense(tokens, w.out_proj, D), [tokens]);
}
