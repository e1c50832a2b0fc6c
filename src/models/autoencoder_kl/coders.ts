import type { DType } from "../../core/dtype.ts";
import { type AttentionBlock, attentionBlock } from "../../nn/attention.ts";
import { conv1x1, conv3x3, type Layer } from "../../nn/layers.ts";
import { type ResnetBlock2D, resnetBlock2D, type ResnetOptions, type Sampler2D } from "../../nn/resnet.ts";
import { silu } from "../../ops/mod.ts";
import { named, type Tensor } from "../../tensor/mod.ts";
import {
  type Bands,
  convBands,
  cutBands,
  downsampleBands,
  joinBands,
  namedBands,
  normBands,
  resnetBands,
  upsampleBands,
} from "./bands.ts";
import { channelsOf, type KLConfig, scaleFactor } from "./config.ts";

/** Weights of an encoder or a decoder. */
export interface Coder {
  conv_in: Layer;
  down_blocks: CoderBlock2D[]; // of the encoder
  mid_block: CoderBlock2D;
  up_blocks: CoderBlock2D[]; // of the decoder
  conv_norm_out: Layer;
  conv_out: Layer;
}

/** Weights of a block of an encoder or decoder. */
export interface CoderBlock2D {
  resnets: ResnetBlock2D[];
  attentions?: [AttentionBlock] | undefined; // in the middle
  downsamplers?: [Sampler2D] | undefined;
  upsamplers?: [Sampler2D] | undefined;
}

/** Weights of an AutoencoderKL. */
export interface AutoencoderKLWeights {
  encoder: Coder;
  quant_conv?: Layer | undefined;
  post_quant_conv?: Layer | undefined;
  decoder: Coder;
}

/** Options of one run of a coder. */
export interface CoderRun {
  /** dtype of activations, whatever that of the weights is. */
  dtype: DType;
  /** Number of bands in which it takes the picture; the latents' rows are shared out between them. */
  bands: number;
}

/**
 * Mean and logarithm of the variance of a picture's latents. image [B, C, H, W]
 * → [B, 2 latent_channels, H / f, W / f].
 */
export function encodeKL(
  image: Tensor,
  w: AutoencoderKLWeights,
  config: KLConfig,
  { dtype, bands }: CoderRun,
): Tensor {
  const f = scaleFactor(config);
  const rows = Math.ceil(Math.floor(image.shape[2]! / f) / bands);
  const input = image.cast(dtype);
  const picture = cutBands(input, bands, f * rows);
  const moments = named("encoder", () => encoder(picture, w.encoder, config), [input]);
  if (!config.use_quant_conv) return moments;
  const convolved = () => conv1x1(moments, w.quant_conv!, 2 * config.latent_channels);
  return named("quant_conv", convolved, [moments]);
}

/** The picture of latents. z [B, latent_channels, h, w] → [B, out_channels, f h, f w]. */
export function decodeKL(
  z: Tensor,
  w: AutoencoderKLWeights,
  config: KLConfig,
  { dtype, bands }: CoderRun,
): Tensor {
  let x = z.cast(dtype);
  if (config.use_post_quant_conv) {
    x = named("post_quant_conv", () => conv1x1(x, w.post_quant_conv!, config.latent_channels), [x]);
  }
  return named("decoder", () => decoder(x, w.decoder, config, bands), [x]);
}

function encoder(x: Bands, w: Coder, config: KLConfig): Tensor {
  const channels = channelsOf("encode", config);
  const layers = config.layers_per_block;
  x = namedBands("conv_in", x, (x) => convBands(x, w.conv_in, channels[0]!));
  for (const i of channels.keys()) {
    const options = {
      resnet: resnetOptions(channels[i]!, config),
      layers,
      resample: i < channels.length - 1,
    };
    x = namedBands(`down_blocks.${i}`, x, (x) => downEncoderBlock2D(x, w.down_blocks[i]!, options));
  }
  const whole = middle(joinBands(x), w, channels.at(-1)!, config);
  return joinBands(output([whole], w, 2 * config.latent_channels, config));
}

function decoder(z: Tensor, w: Coder, config: KLConfig, bands: number): Tensor {
  const channels = channelsOf("decode", config).toReversed();
  const layers = config.layers_per_block + 1;
  const whole = middle(
    named("conv_in", () => conv3x3(z, w.conv_in, channels[0]!), [z]),
    w,
    channels[0]!,
    config,
  );
  let x = cutBands(whole, bands, Math.ceil(z.shape[2]! / bands));
  for (const i of channels.keys()) {
    const options = {
      resnet: resnetOptions(channels[i]!, config),
      layers,
      resample: i < channels.length - 1,
    };
    x = namedBands(`up_blocks.${i}`, x, (x) => upDecoderBlock2D(x, w.up_blocks[i]!, options));
  }
  return joinBands(output(x, w, config.out_channels, config));
}

/** The smallest picture, where all pixels may see each other. x [B, C, H, W] → [B, C, H, W]. */
function middle(x: Tensor, { mid_block: w }: Coder, channels: number, config: KLConfig): Tensor {
  const options = resnetOptions(channels, config);
  return named("mid_block", () => {
    let h = named("resnets.0", () => resnetBlock2D(x, w.resnets[0]!, null, options), [x]);
    if (config.mid_block_add_attention) {
      const attention = { headDim: options.channels, groups: options.groups, eps: EPS, outputScale: 1 };
      const attended = () => attentionBlock(h, denseAttention(w.attentions![0]), attention);
      h = named("attentions.0", attended, [h]);
    }
    return named("resnets.1", () => resnetBlock2D(h, w.resnets[1]!, null, options), [h]);
  }, [x]);
}

function output(x: Bands, w: Coder, channels: number, config: KLConfig): Bands {
  const options = resnetOptions(channels, config);
  const normed = namedBands("conv_norm_out", x, (x) => normBands(x, w.conv_norm_out, options));
  const active = normed.map(silu); // whatever act_fn is
  return namedBands("conv_out", active, (x) => convBands(x, w.conv_out, channels));
}

const EPS = 1e-6; // of all norms, added to variances

/** Options of a residual block of so many channels. */
function resnetOptions(channels: number, { norm_num_groups, act_fn }: KLConfig): ResnetOptions {
  return {
    channels,
    groups: norm_num_groups,
    eps: EPS,
    act: act_fn,
    timeScaleShift: "default",
    outputScale: 1,
  };
}

/** Options of a block of the encoder or the decoder. */
interface CoderBlockOptions {
  resnet: ResnetOptions;
  layers: number;
  /** The block changes the size at its end. */
  resample: boolean;
}

/** A step down, to half the size: DownEncoderBlock2D. x [B, C, H, W] → [B, channels, H / 2, W / 2]. */
function downEncoderBlock2D(x: Bands, w: CoderBlock2D, o: CoderBlockOptions): Bands {
  x = resnets(x, w, o);
  return o.resample ? namedBands("downsamplers.0", x, (x) => downsampleBands(x, w.downsamplers![0])) : x;
}

/** A step up, to twice the size: UpDecoderBlock2D. x [B, C, H, W] → [B, channels, 2 H, 2 W]. */
function upDecoderBlock2D(x: Bands, w: CoderBlock2D, o: CoderBlockOptions): Bands {
  x = resnets(x, w, o);
  return o.resample ? namedBands("upsamplers.0", x, (x) => upsampleBands(x, w.upsamplers![0])) : x;
}

function resnets(x: Bands, w: CoderBlock2D, { resnet, layers }: CoderBlockOptions): Bands {
  for (let i = 0; i < layers; i++) {
    x = namedBands(`resnets.${i}`, x, (x) => resnetBands(x, w.resnets[i]!, resnet));
  }
  return x;
}

/** The layers of attention as matrices: files converted early hold them as 1×1 convolutions [C, C, 1, 1]. */
function denseAttention({ group_norm, to_q, to_k, to_v, to_out }: AttentionBlock): AttentionBlock {
  const dense = ({ weight, bias }: Layer) => ({
    weight: weight.rank === 4 ? weight.reshape(weight.shape.slice(0, 2)) : weight,
    bias,
  });
  return { group_norm, to_q: dense(to_q), to_k: dense(to_k), to_v: dense(to_v), to_out: [dense(to_out[0])] };
}
