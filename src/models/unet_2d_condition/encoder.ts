import type { DType } from "../../core/dtype.ts";
import type { Shape } from "../../core/shape.ts";
import { conv, type Layer } from "../../nn/layers.ts";
import type { TimeProjections } from "../../nn/time_embedding.ts";
import {
  downBlock2D,
  midBlock2D,
  resnetStyle,
  type UNetBlock2D,
  type UNetBlockOptions,
} from "../../nn/unet_2d_blocks.ts";
import { currentPath, named, pathLength, type Tensor } from "../../tensor/mod.ts";
import type { ConditioningWeights } from "./conditioning.ts";
import { type EncoderConfig, valueOf } from "./config.ts";
import { imagesAt } from "./image_attention.ts";
import { addResidual, type UNet2DConditionInputs } from "./inputs.ts";
import { type Transformer2D, transformer2D } from "./transformer_2d.ts";

/** Weights of the way down and of the middle, which a ControlNetModel has too. */
export interface EncoderWeights extends ConditioningWeights {
  conv_in: Layer;
  down_blocks: UNetBlock2D<Transformer2D>[];
  mid_block?: UNetBlock2D<Transformer2D> | undefined;
}

/** Inputs of blocks besides features and time. */
interface BlockContext {
  readonly transformersAt: TransformersAt;
  readonly config: EncoderConfig;
}

/** dtype of activations: matrices may be stored smaller, biases never are. */
export function activationType(w: Pick<EncoderWeights, "conv_in">): DType {
  return w.conv_in.bias.dtype;
}

/** The sample's first features. x [B, C, H, W] → [B, channels, H, W]. */
export function convIn(x: Tensor, w: Pick<EncoderWeights, "conv_in">, config: EncoderConfig): Tensor {
  const channels = config.block_out_channels[0]!;
  return named("conv_in", () => convSame(x, w.conv_in, channels, config.conv_in_kernel), [x]);
}

/**
 * The blocks on the way down. x [B, channels, H, W], the result of conv_in → the skip connections: x, the result of
 * each layer and of each sampler; the last one goes on to the middle.
 */
export function downBlocks(
  x: Tensor,
  w: Pick<EncoderWeights, "down_blocks">,
  times: TimeProjections,
  { inputs, transformersAt, config }: BlockContext & { inputs: UNet2DConditionInputs },
): Tensor[] {
  const skips = [x];
  const last = config.block_out_channels.length - 1;
  for (const [i, type] of config.down_block_types.entries()) {
    const hasAttention = type === "CrossAttnDownBlock2D";
    const adapted = (x: Tensor) => addResidual(x, inputs, `downIntrablockAdditionalResiduals.${i}`);
    const transformers = valueOf(config.transformer_layers_per_block, i);
    const options = {
      layers: valueOf(config.layers_per_block, i),
      resnet: { ...resnetStyle(config), channels: config.block_out_channels[i]! },
      attention: hasAttention
        ? transformersAt(i, transformers, valueOf(config.only_cross_attention, i))
        : null,
      ...(hasAttention ? { adapted } : {}), // without attention it comes after the sampler
      sampler: i === last ? null : "conv",
      padding: config.downsample_padding,
    } as const;
    const outputs = named(`down_blocks.${i}`, () => downBlock2D(x, w.down_blocks[i]!, times, options), [x]);
    x = hasAttention ? outputs.at(-1)! : adapted(outputs.at(-1)!);
    skips.push(...outputs.with(-1, x));
  }
  return skips;
}

/** The block at the bottom, where the config has one. x [B, channels, h, w] → the same. */
export function middleBlock(
  x: Tensor,
  w: Pick<EncoderWeights, "mid_block">,
  times: TimeProjections,
  { transformersAt, config }: BlockContext,
): Tensor {
  if (config.mid_block_type === null) return x;
  const options = midBlockOptions(transformersAt, config);
  return named("mid_block", () => midBlock2D(x, w.mid_block!, times, options), [x]);
}

/** The transformers of a block at some level; `transformers` blocks of one follow each residual block. */
export type TransformersAt = (
  level: number,
  transformers: number | readonly number[],
  onlyCrossAttention: boolean,
) => NonNullable<UNetBlockOptions<Transformer2D>["attention"]>;

/** The UNet's transformers, which attend to the prompts. */
export function transformersOf(
  inputs: UNet2DConditionInputs,
  dtype: DType,
  config: EncoderConfig,
): TransformersAt {
  const { encoderHiddenStates, encoderAttentionMask } = inputs;
  const outside = pathLength();
  const images = () => imagesAt(currentPath(outside), inputs, dtype);
  const context = encoderHiddenStates.cast(dtype);
  const [B, S] = encoderHiddenStates.shape as Shape<2>;
  const mask = encoderAttentionMask?.sub(1).mul(10000).reshape([B, 1, 1, S]); // -10000 hides a token
  return (level, transformers, onlyCrossAttention) => {
    const options = {
      heads: valueOf(config.num_attention_heads ?? config.attention_head_dim, level),
      onlyCrossAttention,
      groups: config.norm_num_groups,
      linearProjection: config.use_linear_projection,
      mask,
      images,
    };
    return (x, w, layer) =>
      transformer2D(x, w, context, { ...options, layers: valueOf(transformers, layer) });
  };
}

/** The middle block divides by its own scale, and always attends to itself too. */
function midBlockOptions(
  transformersAt: TransformersAt,
  config: EncoderConfig,
): Omit<UNetBlockOptions<Transformer2D>, "sampler"> {
  const last = config.block_out_channels.length - 1;
  const resnet = {
    ...resnetStyle(config),
    channels: config.block_out_channels[last]!,
    outputScale: config.mid_block_scale_factor,
  };
  if (config.mid_block_type === "UNetMidBlock2D") return { layers: 1, resnet, attention: null };
  return {
    layers: 2,
    resnet,
    attention: transformersAt(last, valueOf(config.transformer_layers_per_block, last), false),
  };
}

/** Convolution by an odd kernel that keeps the size. */
export function convSame(x: Tensor, w: Layer, channels: number, kernel: number): Tensor {
  return conv(x, w, channels, kernel, { padding: (kernel - 1) / 2 });
}
