import type { ConfigSchema } from "../../io/config.ts";
import type { Library } from "../../io/hub/needed_files.ts";
import { expectOptions } from "../../core/error.ts";
import type { Shape } from "../../core/shape.ts";
import { activation } from "../../nn/activations.ts";
import { attend } from "../../nn/attention.ts";
import { dense, expectShape, type Layer, layerNorm } from "../../nn/layers.ts";
import { conv2d, linear } from "../../ops/mod.ts";
import { named, type Tensor, zeros } from "../../tensor/mod.ts";
import { type CLIPEncoderLayer, clipEncoderLayer } from "../clip_text/encoder_layer.ts";
import { expectInput } from "../inputs.ts";
import { Model, type TapOptions, type Taps } from "../runtime/model.ts";
import type { Tensors } from "../runtime/traces.ts";
import { type SiglipVisionConfig, siglipVisionConfig } from "./config.ts";

/** Weights of a SigLIP vision model. */
export interface SiglipVisionWeights {
  embeddings: {
    patch_embedding: Layer;
    position_embedding: { weight: Tensor };
  };
  encoder: { layers: CLIPEncoderLayer[] };
  post_layernorm: Layer;
  head: PoolingHead;
}

/** Weights of a head, whose attention has queries, keys and values in one matrix. */
interface PoolingHead {
  probe: Tensor;
  attention: { in_proj_weight: Tensor; in_proj_bias: Tensor; out_proj: Layer };
  layernorm: Layer;
  mlp: { fc1: Layer; fc2: Layer };
}

/** The results of a SigLIP vision model. */
export interface SiglipVisionOutput {
  /** Every token's normed state behind the last layer. [B, patches, D] */
  lastHiddenState: Tensor;
  /** A vector for the whole picture, where the model has a head. [B, D] */
  poolerOutput: Tensor | undefined;
}

/**
 * The tokens of pictures by SigLIP's vision transformer (Zhai et al. 2023, https://arxiv.org/abs/2303.15343). pixels
 * [B, C, S, S] → see `SiglipVisionOutput`.
 */
export function siglipVision(pixels: Tensor, w: SiglipVisionWeights, config: SiglipVisionConfig): Tensors {
  const { hidden_size: D, patch_size: P, image_size, num_channels: C, layer_norm_eps: eps } = config;
  const B = pixels.shape[0]!;
  const patches = Math.floor(image_size / P) ** 2;
  const { patch_embedding, position_embedding } = w.embeddings;
  expectShape(patch_embedding.weight, [D, C, P, P]);
  expectShape(position_embedding.weight, [patches, D]);

  const dtype = w.post_layernorm.bias.dtype; // the model's: matrices may be stored smaller, biases never are
  let x = named("embeddings", () => {
    const seen = conv2d(pixels.cast(dtype), patch_embedding, { stride: P });
    return seen.reshape([B, D, patches]).permute([0, 2, 1]).add(position_embedding.weight.cast(dtype));
  }, [pixels]);
  const options = {
    heads: config.num_attention_heads,
    intermediate: config.intermediate_size,
    act: config.hidden_act,
    eps,
    causal: false,
  };
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const layer = () => clipEncoderLayer(x, w.encoder.layers[i]!, options);
    x = named(`encoder.layers.${i}`, layer, [x]);
  }
  const normed = named("post_layernorm", () => layerNorm(x, w.post_layernorm, eps), [x]);
  return {
    lastHiddenState: normed,
    ...config.vision_use_head && {
      poolerOutput: named("head", () => poolingHead(normed, w.head, config), [normed]),
    },
  };
}

/** A learned query looks at all tokens, then two dense layers. x [B, N, D] → [B, D] */
function poolingHead(x: Tensor, w: PoolingHead, config: SiglipVisionConfig): Tensor {
  const { hidden_size: D, num_attention_heads: heads, intermediate_size, hidden_act, layer_norm_eps } =
    config;
  expectShape(w.probe, [1, 1, D]);
  const probe = w.probe.cast(x.dtype).expand([x.shape[0]!, 1, D]);
  const seen = named("attention", () => multiheadAttention(probe, x, w.attention, heads), [probe, x]);
  const normed = named("layernorm", () => layerNorm(seen, w.layernorm, layer_norm_eps), [seen]);
  const mlp = () => dense(activation(hidden_act)(dense(normed, w.mlp.fc1, intermediate_size)), w.mlp.fc2, D);
  return seen.add(named("mlp", mlp, [normed])).squeeze(1);
}

/** torch's MultiheadAttention. q [B, L, D], x [B, N, D] → [B, L, D] */
function multiheadAttention(q: Tensor, x: Tensor, w: PoolingHead["attention"], heads: number): Tensor {
  const [B, L, D] = q.shape as Shape<3>;
  const { in_proj_weight, in_proj_bias, out_proj } = w;
  expectShape(in_proj_weight, [3 * D, D]);
  expectShape(in_proj_bias, [3 * D]);
  const part = (i: number, of: Tensor) => {
    const [weight, bias] = [in_proj_weight, in_proj_bias].map((all) => all.slice(0, i * D, (i + 1) * D));
    return linear(of, { weight: weight!, bias }).reshape([B, -1, heads, D / heads]).permute([0, 2, 1, 3]);
  };
  const mixed = attend(part(0, q), part(1, x), part(2, x)).permute([0, 2, 1, 3]).reshape([B, L, D]);
  return dense(mixed, out_proj, D);
}

/** SigLIP's vision transformer, which sees pictures for FLUX.1 Redux; transformers' class of that name. */
export class SiglipVisionModel extends Model<SiglipVisionConfig> {
  /** Checks a config.json and fills in its defaults. */
  static readonly schema: ConfigSchema<SiglipVisionConfig> = siglipVisionConfig;
  /** Its folder in a pipeline. */
  static readonly folder: string = "image_encoder";
  /** The library whose names its files have. */
  static readonly library: Library = "transformers";
  /** The model_type of its configs, and of those of a whole SigLIP. */
  static readonly modelTypes: readonly string[] = ["siglip_vision_model", "siglip"];
  /** The key of its config in that of a whole SigLIP. */
  static readonly configKey: string = "vision_config";
  /** The keys of the rest of a whole SigLIP. */
  static readonly others: RegExp = /^(text_model\.|logit_(scale|bias)$)/;
  /** Files have it in front of their keys. */
  static readonly prefix: string = "vision_model.";

  /** The tokens of pictures, as `SiglipImageProcessor` prepares them [B, C, S, S]. */
  forward<const Path extends string = never>(
    pixelValues: Tensor,
    options: TapOptions<Path> = {},
  ): SiglipVisionOutput & { taps: Taps<Path> } {
    const { num_channels, image_size } = this.config;
    expectOptions("see pictures", options, ["taps"]);
    expectInput("see pictures", pixelValues, ["B", num_channels, image_size, image_size]);
    const { results, taps } = this.tapped("forward", { pixelValues }, this.#run, options.taps);
    return { lastHiddenState: results["lastHiddenState"]!, poolerOutput: results["poolerOutput"], taps };
  }

  /** Traces one picture. */
  prepare(): void {
    const { num_channels, image_size } = this.config;
    const pixelValues = zeros([1, num_channels, image_size, image_size] as Shape<4>);
    this.dryRun("forward", { pixelValues }, this.#run);
  }

  #run = ({ pixelValues }: Tensors): Tensors =>
    siglipVision(pixelValues!, this.weights.tree as SiglipVisionWeights, this.config);
}
