import type { ConfigSchema } from "../../io/config.ts";
import type { DType } from "../../core/dtype.ts";
import { expectOptions } from "../../core/error.ts";
import { activation } from "../../nn/activations.ts";
import { type AttentionBlock, attentionBlock } from "../../nn/attention.ts";
import { conv3x3, embedding, groupNorm, type Layer } from "../../nn/layers.ts";
import {
  gaussianFourierProjection,
  type TimestepEmbedding,
  timestepEmbeddingMLP,
} from "../../nn/time_embedding.ts";
import {
  downBlock2D,
  midBlock2D,
  resnetStyle,
  type UNetBlock2D,
  type UNetBlockOptions,
  unetTimeProjections,
  upBlock2D,
} from "../../nn/unet_2d_blocks.ts";
import { silu } from "../../ops/mod.ts";
import { named, type Tensor, zeros } from "../../tensor/mod.ts";
import { Model, type TapOptions, type Taps } from "../runtime/model.ts";
import { type UNet2DConfig, unet2DConfig } from "./config.ts";
import { type ClassLabels, sampleSizeOf, type UNet2DInputs, unet2DInputs } from "./inputs.ts";

/** Weights of a UNet2DModel. */
export interface UNet2DWeights {
  conv_in: Layer;
  time_proj?: { weight: Tensor };
  time_embedding: TimestepEmbedding;
  class_embedding?: { weight: Tensor } | TimestepEmbedding;
  down_blocks: UNetBlock2D<AttentionBlock>[];
  mid_block?: UNetBlock2D<AttentionBlock> | undefined;
  up_blocks: UNetBlock2D<AttentionBlock>[];
  conv_norm_out: Layer;
  conv_out: Layer;
}

/**
 * Predicts the noise in a sample: the UNet of DDPM (Ho et al. 2020, https://arxiv.org/abs/2006.11239),
 * diffusers' UNet2DModel. sample [B, C, H, W] → [B, out_channels, H, W].
 */
export function unet2D({ sample, ...inputs }: UNet2DInputs, w: UNet2DWeights, config: UNet2DConfig): Tensor {
  const { block_out_channels: channels, layers_per_block: layers } = config;
  const temb = activation(config.act_fn)(conditioning(inputs, w, config));
  const times = unetTimeProjections(temb, w, config.mid_block_type !== null);

  let x = sample.cast(activationType(w));
  if (config.center_input_sample) x = x.mul(2).sub(1);
  x = named("conv_in", () => conv3x3(x, w.conv_in, channels[0]!), [x]);
  const skips = [x];
  for (const [i, type] of config.down_block_types.entries()) {
    const sampler = samplerOf(type, config.downsample_type, i === channels.length - 1);
    const padding = config.downsample_padding;
    const options = { ...blockOptions(type, channels[i]!, config), layers, sampler, padding };
    const outputs = named(`down_blocks.${i}`, () => downBlock2D(x, w.down_blocks[i]!, times, options), [x]);
    skips.push(...outputs);
    x = outputs.at(-1)!;
  }

  if (config.mid_block_type) {
    const options = { layers: 2, ...midBlockOptions(config) };
    x = named("mid_block", () => midBlock2D(x, w.mid_block!, times, options), [x]);
  }

  for (const [i, type] of config.up_block_types.entries()) {
    const own = skips.splice(-(layers + 1));
    const size = (skips.at(-1) ?? x).shape.slice(-2) as [H: number, W: number]; // of the next block's skips
    const sampler = samplerOf(type, config.upsample_type, i === channels.length - 1);
    const options = {
      ...blockOptions(type, channels.at(-1 - i)!, config),
      layers: layers + 1,
      sampler,
      size,
    };
    x = named(`up_blocks.${i}`, () => upBlock2D(x, own, w.up_blocks[i]!, times, options), [x, ...own]);
  }

  x = named("conv_norm_out", () => groupNorm(x, w.conv_norm_out, resnetStyle(config)), [x]);
  const active = silu(x);
  const out = named("conv_out", () => conv3x3(active, w.conv_out, config.out_channels), [active]);
  return inputs.divisor ? out.cast("f32").div(inputs.divisor.reshape([-1, 1, 1, 1])) : out;
}

/** The embedding of time and class that all residual blocks read. → [B, T] */
function conditioning(
  { time, classes }: Omit<UNet2DInputs, "sample">,
  w: UNet2DWeights,
  config: UNet2DConfig,
): Tensor {
  const width = timeWidth(config);
  const features = named("time_proj", () => timeFeatures(time, w, config));
  const embed = () => timestepEmbeddingMLP(features, w.time_embedding, width);
  const temb = named("time_embedding", embed, [features]);
  if (!classes) return temb;
  const vectors = named("class_embedding", () => {
    switch (config.class_embed_type) {
      case "identity":
        return classes.cast(temb.dtype);
      case "timestep": {
        const features = timeFeatures(classes, w, config);
        return timestepEmbeddingMLP(features, w.class_embedding as TimestepEmbedding, width);
      }
      case null: {
        const table = w.class_embedding as { weight: Tensor };
        return embedding(classes, table, config.num_class_embeds!, width).cast(temb.dtype);
      }
    }
  });
  return temb.add(vectors);
}

/** Width T of the embedding of time. */
function timeWidth(config: UNet2DConfig): number {
  return config.time_embedding_dim ?? 4 * config.block_out_channels[0]!;
}

/** The model's dtype: matrices may be stored smaller, biases never are. */
function activationType(w: UNet2DWeights): DType {
  return w.conv_in.bias.dtype;
}

/** Features of times, in the dtype of activations. → [B, K] */
function timeFeatures(time: Tensor, w: UNet2DWeights, config: UNet2DConfig): Tensor {
  const width = config.block_out_channels[0]!;
  const dtype = activationType(w);
  switch (config.time_embedding_type) {
    case "positional":
      return time.cast(dtype); // made on the host
    case "fourier":
      return gaussianFourierProjection(time, w.time_proj!, 2 * width).cast(dtype);
    case "learned":
      return embedding(time, w.time_proj!, config.num_train_timesteps!, width).cast(dtype);
  }
}

type LayerOptions = Pick<UNetBlockOptions<AttentionBlock>, "resnet" | "attention">;

function blockOptions(type: string, channels: number, config: UNet2DConfig): LayerOptions {
  const headDim = config.attention_head_dim ?? channels;
  const attention = { headDim, groups: config.norm_num_groups, eps: config.norm_eps, outputScale: 1 };
  return {
    resnet: { ...resnetStyle(config), channels },
    attention: type.startsWith("Attn") ? (x, w) => attentionBlock(x, w, attention) : null,
  };
}

/** The middle block divides by its own scale, and its attention may have its own groups, or no norm at all. */
function midBlockOptions(config: UNet2DConfig): LayerOptions {
  const channels = config.block_out_channels.at(-1)!;
  const outputScale = config.mid_block_scale_factor;
  const groups = config.resnet_time_scale_shift === "default" ? config.norm_num_groups : null;
  const attention = {
    headDim: config.attention_head_dim ?? channels,
    groups: config.attn_norm_num_groups ?? groups,
    eps: config.norm_eps,
    outputScale,
  };
  return {
    resnet: { ...resnetStyle(config), channels, outputScale },
    attention: config.add_attention ? (x, w) => attentionBlock(x, w, attention) : null,
  };
}

/** Only blocks with attention follow the config's type of sampler; the names of the others say theirs. */
function samplerOf(type: string, preferred: "conv" | "resnet", last: boolean): "conv" | "resnet" | null {
  if (last) return null;
  if (type.startsWith("Attn")) return preferred;
  return type.startsWith("Resnet") ? "resnet" : "conv";
}

/** Options of `UNet2DModel.forward`. */
export interface UNet2DOptions {
  /** For models that draw classes: one for all rows, one a row, or vectors [B, T] where the config says so. */
  classLabels?: ClassLabels | undefined;
}

/** Predicts the noise in a sample; diffusers' UNet2DModel. */
export class UNet2DModel extends Model<UNet2DConfig> {
  /** Checks a config.json and fills in its defaults. */
  static readonly schema: ConfigSchema<UNet2DConfig> = unet2DConfig;

  /** The model's output for a sample [B, C, H, W] at timestep `t`, one for all rows or one a row. */
  forward<const Path extends string = never>(
    sample: Tensor,
    t: number | readonly number[],
    options: UNet2DOptions & TapOptions<Path> = {},
  ): { sample: Tensor; taps: Taps<Path> } {
    expectOptions("denoise", options, ["classLabels", "taps"]);
    const { classLabels, taps } = options;
    const inputs = unet2DInputs(sample, t, classLabels, this.config);
    const run = this.tapped("forward", inputs, this.#run, taps);
    return { ...run.results, taps: run.taps };
  }

  /** Sides of the samples it was trained on, or the least that it can halve where its config has none. */
  get sampleSize(): [H: number, W: number] {
    return sampleSizeOf(this.config);
  }

  /** Traces at the size the model was trained for. */
  prepare(): void {
    const { in_channels, class_embed_type, num_class_embeds } = this.config;
    const sample = zeros([1, in_channels, ...this.sampleSize]);
    const classes = class_embed_type === "identity" ? zeros([1, timeWidth(this.config)]) : 0;
    const classLabels = class_embed_type !== null || num_class_embeds !== null ? classes : undefined;
    this.dryRun("forward", unet2DInputs(sample, 0, classLabels, this.config), this.#run);
  }

  #run = (inputs: Record<string, Tensor>): { sample: Tensor } => ({
    sample: unet2D(inputs as UNet2DInputs, this.weights.tree as UNet2DWeights, this.config),
  });
}
