import type { DType } from "../../core/dtype.ts";
import { activation } from "../../nn/activations.ts";
import { type Bands, convBands, cutBands, joinBands, normBands } from "./bands.ts";
import { conv1x1, conv3x3, type Layer } from "../../nn/layers.ts";
import type { ResnetOptions } from "../../nn/resnet.ts";
import { named, type Tensor } from "../../tensor/mod.ts";
import {
  type CoderBlock2D,
  coderMidBlock2D,
  downEncoderBlock2D,
  namedBands,
  upDecoderBlock2D,
} from "./blocks.ts";
import { type AutoencoderKLConfig, scaleFactor } from "./config.ts";

/** Weights of an encoder or a decoder. */
export interface Coder {
  conv_in: Layer;
  down_blocks: CoderBlock2D[]; // of the encoder
  mid_block: CoderBlock2D;
  up_blocks: CoderBlock2D[]; // of the decoder
  conv_norm_out: Layer;
  conv_out: Layer;
}

/** Weights of an AutoencoderKL. */
export interface AutoencoderKLWeights {
  encoder: Coder;
  quant_conv?: Layer | undefined;
  post_quant_conv?: Layer | undefined;
  decoder: Coder;
}

/** How a coder goes about its work. */
export interface CoderRun {
  /** Of activations, whatever that of the weights is. */
  dtype: DType;
  /** In how many bands it takes the picture; the latents' rows are shared out between them. */
  bands: number;
}

/**
 * Where in latent space a picture lies: mean and logarithm of the variance.
 * image [B, C, H, W] → [B, 2 latent_channels, H / f, W / f].
 */
export function encodeKL(
  image: Tensor,
  w: AutoencoderKLWeights,
  config: AutoencoderKLConfig,
  { dtype, bands }: CoderRun,
): Tensor {
  const f = scaleFactor(config);
  const rows = Math.ceil(Math.floor(image.shape[2]! / f) / bands);
  const input = image.cast(dtype);
  const picture = cutBands(input, bands, f * rows);
  const moments = named("encoder", () => encoder(picture, w.encoder, config), [input]);
  if (!config.use_quant_conv) return moments;
  return named("quant_conv", () => conv1x1(moments, w.quant_conv!, 2 * config.latent_channels), [
    moments,
  ]);
}

/** The picture of latents. z [B, latent_channels, h, w] → [B, out_channels, f h, f w]. */
export function decodeKL(
  z: Tensor,
  w: AutoencoderKLWeights,
  config: AutoencoderKLConfig,
  { dtype, bands }: CoderRun,
): Tensor {
  let x = z.cast(dtype);
  if (config.use_post_quant_conv) {
    const input = x;
    x = named("post_quant_conv", () => conv1x1(input, w.post_quant_conv!, config.latent_channels), [input]);
  }
  return named("decoder", () => decoder(x, w.decoder, config, bands), [x]);
}

function encoder(x: Bands, w: Coder, config: AutoencoderKLConfig): Tensor {
  const { block_out_channels: channels, layers_per_block: layers } = config;
  x = namedBands("conv_in", x, (x) => convBands(x, w.conv_in, channels[0]!));
  for (const i of channels.keys()) {
    const options = { resnet: style(channels[i]!, config), layers, resample: i < channels.length - 1 };
    x = namedBands(`down_blocks.${i}`, x, (x) => downEncoderBlock2D(x, w.down_blocks[i]!, options));
  }
  const whole = middle(joinBands(x), w, config);
  return joinBands(output([whole], w, 2 * config.latent_channels, config));
}

function decoder(z: Tensor, w: Coder, config: AutoencoderKLConfig, bands: number): Tensor {
  const channels = config.block_out_channels.toReversed();
  const layers = config.layers_per_block + 1;
  const whole = middle(named("conv_in", () => conv3x3(z, w.conv_in, channels[0]!), [z]), w, config);
  let x = cutBands(whole, bands, Math.ceil(z.shape[2]! / bands));
  for (const i of channels.keys()) {
    const options = { resnet: style(channels[i]!, config), layers, resample: i < channels.length - 1 };
    x = namedBands(`up_blocks.${i}`, x, (x) => upDecoderBlock2D(x, w.up_blocks[i]!, options));
  }
  return joinBands(output(x, w, config.out_channels, config));
}

function middle(x: Tensor, w: Coder, config: AutoencoderKLConfig): Tensor {
  const resnet = style(config.block_out_channels.at(-1)!, config);
  const attention = config.mid_block_add_attention;
  return named("mid_block", () => coderMidBlock2D(x, w.mid_block, { resnet, attention }), [x]);
}

function output(x: Bands, w: Coder, channels: number, config: AutoencoderKLConfig): Bands {
  const act = activation("silu"); // whatever act_fn is
  const normed = namedBands(
    "conv_norm_out",
    x,
    (x) => normBands(x, w.conv_norm_out, style(channels, config)),
  );
  return namedBands("conv_out", normed.map(act), (x) => convBands(x, w.conv_out, channels));
}

function style(channels: number, { norm_num_groups, act_fn }: AutoencoderKLConfig): ResnetOptions {
  return {
    channels,
    groups: norm_num_groups,
    eps: 1e-6,
    act: act_fn,
    timeScaleShift: "default",
    outputScale: 1,
  };
}
