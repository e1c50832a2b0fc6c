import { type AttentionBlock, attentionBlock } from "../../nn/attention.ts";
import { type Bands, cutBands, downsampleBands, joinBands, resnetBands, upsampleBands } from "./bands.ts";
import type { Layer } from "../../nn/layers.ts";
import { type ResnetBlock2D, resnetBlock2D, type ResnetOptions, type Sampler2D } from "../../nn/resnet.ts";
import { isWanted, named, type Tensor } from "../../tensor/mod.ts";

/** Weights of a block of an encoder or decoder. */
export interface CoderBlock2D {
  resnets: ResnetBlock2D[];
  attentions?: [AttentionBlock] | undefined; // in the middle
  downsamplers?: [Sampler2D] | undefined;
  upsamplers?: [Sampler2D] | undefined;
}

/** What the blocks of an AutoencoderKL are built from. */
export interface CoderBlockOptions {
  resnet: ResnetOptions;
  layers: number;
  /** Whether the block changes the size at its end. */
  resample: boolean;
}

/** A step down, to half the size: DownEncoderBlock2D. x [B, C, H, W] → [B, channels, H / 2, W / 2]. */
export function downEncoderBlock2D(x: Bands, w: CoderBlock2D, o: CoderBlockOptions): Bands {
  x = resnets(x, w, o);
  return o.resample ? namedBands("downsamplers.0", x, (x) => downsampleBands(x, w.downsamplers![0])) : x;
}

/** A step up, to twice the size: UpDecoderBlock2D. x [B, C, H, W] → [B, channels, 2 H, 2 W]. */
export function upDecoderBlock2D(x: Bands, w: CoderBlock2D, o: CoderBlockOptions): Bands {
  x = resnets(x, w, o);
  return o.resample ? namedBands("upsamplers.0", x, (x) => upsampleBands(x, w.upsamplers![0])) : x;
}

/** The smallest picture, where all pixels may see each other. x [B, C, H, W] → [B, C, H, W]. */
export function coderMidBlock2D(
  x: Tensor,
  w: CoderBlock2D,
  { resnet, attention }: { resnet: ResnetOptions; attention: boolean },
): Tensor {
  const { channels, groups, eps = 1e-5 } = resnet;
  x = named("resnets.0", () => resnetBlock2D(x, w.resnets[0]!, null, resnet), [x]);
  if (attention) {
    const options = { headDim: channels, groups, eps, outputScale: 1 };
    x = named("attentions.0", () => attentionBlock(x, denseAttention(w.attentions![0]), options), [x]);
  }
  return named("resnets.1", () => resnetBlock2D(x, w.resnets[1]!, null, resnet), [x]);
}

/** Names a part as `named` does. Several bands are joined where the part is asked for. */
export function namedBands(name: string, x: Bands, run: (x: Bands) => Bands): Bands {
  const whole = x.length === 1 || isWanted(name);
  let bands: Bands = [];
  let joined: Tensor | undefined;
  const seen = named(name, () => {
    bands = run(x);
    return joined = whole ? joinBands(bands) : undefined;
  }, whole ? [joinBands(x)] : []);
  return seen === joined ? bands : cutBands(seen!, bands.length, bands[0]!.shape[2]!);
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
