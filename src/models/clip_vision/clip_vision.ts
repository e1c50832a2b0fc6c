import type { ConfigSchema } from "../../io/config.ts";
import type { Library } from "../../io/hub/needed_files.ts";
import { expectOptions } from "../../core/error.ts";
import type { Shape } from "../../core/shape.ts";
import { expectShape, type Layer, layerNorm, project, type Projection } from "../../nn/layers.ts";
import { conv2d } from "../../ops/mod.ts";
import { cat, named, type Tensor, zeros } from "../../tensor/mod.ts";
import { type CLIPEncoderLayer, clipEncoderLayer } from "../clip_text/encoder_layer.ts";
import { expectInput } from "../inputs.ts";
import { Model, type TapOptions, type Taps } from "../runtime/model.ts";
import type { Tensors } from "../runtime/traces.ts";
import { type CLIPVisionConfig, clipVisionConfig } from "./config.ts";

/** Weights of a CLIP vision model with its projection. */
export interface CLIPVisionWeights {
  embeddings: {
    class_embedding: Tensor;
    patch_embedding: Projection;
    position_embedding: { weight: Tensor };
  };
  pre_layrnorm: Layer; // as the files spell it
  encoder: { layers: CLIPEncoderLayer[] };
  post_layernorm: Layer;
  visual_projection: Projection;
}

/** The results of a CLIP vision model with a projection. */
export interface CLIPVisionProjectionOutput {
  /** A picture's place in the space that texts and pictures share. [B, projection_dim] */
  imageEmbeds: Tensor;
  /** Every token's state behind the last layer; the first stands for the picture. [B, 1 + patches, D] */
  lastHiddenState: Tensor;
  /** The embeddings, then the states behind each layer. [B, 1 + patches, D] */
  hiddenStates: Tensor[];
}

/**
 * The states of pictures behind each layer of CLIP's vision transformer (Radford et al. 2021,
 * https://arxiv.org/abs/2103.00020). pixels [B, C, S, S] → see `CLIPVisionProjectionOutput`.
 */
export function clipVision(pixels: Tensor, w: CLIPVisionWeights, config: CLIPVisionConfig): Tensors {
  const { hidden_size: D, patch_size: P, image_size, num_channels: C, layer_norm_eps: eps } = config;
  const B = pixels.shape[0]!;
  const patches = Math.floor(image_size / P) ** 2;
  const { class_embedding, patch_embedding: { weight }, position_embedding } = w.embeddings;
  expectShape(weight, [D, C, P, P]);
  expectShape(class_embedding, [D]);
  expectShape(position_embedding.weight, [1 + patches, D]);

  const dtype = w.post_layernorm.bias.dtype; // the model's: matrices may be stored smaller, biases never are
  const embedded = named("embeddings", () => {
    const seen = conv2d(pixels.cast(dtype), { weight }, { stride: P });
    const tokens = seen.reshape([B, D, patches]).permute([0, 2, 1]);
    const first = class_embedding.cast(dtype).reshape([1, 1, D]).expand([B, 1, D]);
    return cat([first, tokens], 1).add(position_embedding.weight.cast(dtype));
  }, [pixels]);
  const states = [named("pre_layrnorm", () => layerNorm(embedded, w.pre_layrnorm, eps), [embedded])];
  const options = {
    heads: config.num_attention_heads,
    intermediate: config.intermediate_size,
    act: config.hidden_act,
    eps,
    causal: false,
  };
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const x = states[i]!;
    const layer = () => clipEncoderLayer(x, w.encoder.layers[i]!, options);
    states.push(named(`encoder.layers.${i}`, layer, [x]));
  }
  const last = states.at(-1)!;
  const first = last.slice(1, 0, 1);
  const pooled = named("post_layernorm", () => layerNorm(first, w.post_layernorm, eps), [first]).squeeze(1);
  const projected = () => project(pooled, w.visual_projection, config.projection_dim);
  return {
    imageEmbeds: named("visual_projection", projected, [pooled]),
    lastHiddenState: last,
    ...Object.fromEntries(states.map((state, i) => [`hiddenStates.${i}`, state])),
  };
}

/** CLIP's vision transformer with its projection, which sees pictures for IP-Adapters; transformers' class of that name. */
export class CLIPVisionModelWithProjection extends Model<CLIPVisionConfig> {
  /** Checks a config.json and fills in its defaults. */
  static readonly schema: ConfigSchema<CLIPVisionConfig> = clipVisionConfig;
  /** Its folder in a pipeline. */
  static readonly folder: string = "image_encoder";
  /** The library whose names its files have. */
  static readonly library: Library = "transformers";
  /** The model_type of its configs, and of those of a whole CLIP. */
  static readonly modelTypes: readonly string[] = ["clip_vision_model", "clip"];
  /** The key of its config in that of a whole CLIP. */
  static readonly configKey: string = "vision_config";
  /** The keys of the rest of a whole CLIP. */
  static readonly others: RegExp = /^(text_model\.|text_projection\.|logit_scale$)/;
  /** Files have it in front of most of their keys. */
  static readonly prefix: string = "vision_model.";

  /** The states and embeddings of pictures, as `clipPixels` prepares them [B, C, S, S]. */
  forward<const Path extends string = never>(
    pixelValues: Tensor,
    options: TapOptions<Path> = {},
  ): CLIPVisionProjectionOutput & { taps: Taps<Path> } {
    const { num_channels, image_size } = this.config;
    expectOptions("see pictures", options, ["taps"]);
    expectInput("see pictures", pixelValues, ["B", num_channels, image_size, image_size]);
    const { results, taps } = this.tapped("forward", { pixelValues }, this.#run, options.taps);
    const { imageEmbeds, lastHiddenState, ...states } = results;
    return {
      imageEmbeds: imageEmbeds!,
      lastHiddenState: lastHiddenState!,
      hiddenStates: Object.values(states),
      taps,
    };
  }

  /** Traces one picture. */
  prepare(): void {
    const { num_channels, image_size } = this.config;
    const pixelValues = zeros([1, num_channels, image_size, image_size] as Shape<4>);
    this.dryRun("forward", { pixelValues }, this.#run);
  }

  #run = ({ pixelValues }: Tensors): Tensors =>
    clipVision(pixelValues!, this.weights.tree as CLIPVisionWeights, this.config);
}
