import { expectOptions } from "../../core/error.ts";
import { formatShape, type Shape } from "../../core/shape.ts";
import type { ConfigSchema } from "../../io/config.ts";
import { conv1x1, conv3x3, type Layer } from "../../nn/layers.ts";
import { avgPool2d, relu } from "../../ops/mod.ts";
import { cat, named, type Tensor, zeros } from "../../tensor/mod.ts";
import { expectInput } from "../inputs.ts";
import { Model, type TapOptions, type Taps } from "../runtime/model.ts";
import type { Tensors } from "../runtime/traces.ts";
import { levelsOf, type T2IAdapterConfig, t2iAdapterConfig } from "./config.ts";

/** Weights of a block. */
interface AdapterBlock {
  /** There if its width changes, and in each block of a light adapter. */
  in_conv?: Layer | undefined;
  resnets: readonly { block1: Layer; block2: Layer }[];
  /** In blocks of a light adapter. */
  out_conv?: Layer | undefined;
}

/** Weights of a T2IAdapter. */
interface T2IAdapterWeights {
  adapter: {
    /** Not in a light adapter. */
    conv_in?: Layer | undefined;
    body: readonly AdapterBlock[];
  };
}

/**
 * Features of a picture, such as a sketch or depth, of a block each: T2I-Adapter (Mou et al. 2023,
 * https://arxiv.org/abs/2302.08453). x [B, C, H, W] → [B, channels, h, w] each
 */
function t2iAdapter(x: Tensor, { adapter: w }: T2IAdapterWeights, config: T2IAdapterConfig): Tensor[] {
  const isLight = config.adapter_type === "light_adapter";
  const pixels = unshuffle(x, config.downscale_factor);
  const { dtype } = (isLight ? w.body[0]!.in_conv! : w.conv_in!).bias;
  let h = pixels.cast(dtype);
  if (!isLight) h = named("conv_in", () => conv3x3(h, w.conv_in!, config.channels[0]!), [h]);
  return levelsOf(config).map(({ channels, halves }, i) =>
    h = named(`body.${i}`, () => block(halves ? halved(h) : h, w.body[i]!, channels, config), [h])
  );
}

/** One block. x [B, C, h, w] → [B, channels, h, w] */
function block(x: Tensor, w: AdapterBlock, channels: number, config: T2IAdapterConfig): Tensor {
  const isLight = config.adapter_type === "light_adapter";
  const width = isLight ? Math.floor(channels / 4) : channels;
  const last = isLight ? conv3x3 : conv1x1;
  let h = isLight || x.shape[1] !== channels ? named("in_conv", () => conv1x1(x, w.in_conv!, width), [x]) : x;
  for (let i = 0; i < config.num_res_blocks; i++) {
    const { block1, block2 } = w.resnets[i]!;
    const input = h;
    const residual = () => last(relu(conv3x3(input, block1, width)), block2, width).add(input);
    h = named(`resnets.${i}`, residual, [input]);
  }
  return isLight ? named("out_conv", () => conv1x1(h, w.out_conv!, channels), [h]) : h;
}

/** Squares of r × r pixels as channels, as torch's PixelUnshuffle. x [B, C, r h, r w] → [B, C r², h, w] */
function unshuffle(x: Tensor, r: number): Tensor {
  const [B, C, H, W] = x.shape as Shape<4>;
  const [h, w] = [H / r, W / r];
  return x.reshape([B, C, h, r, w, r]).permute([0, 1, 3, 5, 2, 4]).reshape([B, C * r * r, h, w]);
}

/** Means of 2 × 2 pixels; at an odd side of those that are there. x [B, C, H, W] → [B, C, ⌈H / 2⌉, ⌈W / 2⌉] */
function halved(x: Tensor): Tensor {
  for (const axis of [2, 3]) {
    const side = x.shape[axis]!;
    if (side % 2) x = cat([x, x.slice(axis, side - 1)], axis);
  }
  return avgPool2d(x, { kernel: 2 });
}

const USUAL_SIDE = 64; // latents of Stable Diffusion

/** Features of a picture for a UNet's way down, made once for a whole run; diffusers' T2IAdapter. */
export class T2IAdapter extends Model<T2IAdapterConfig> {
  /** Checks a config.json and fills in its defaults. */
  static readonly schema: ConfigSchema<T2IAdapterConfig> = t2iAdapterConfig;
  /** Its folder in a pipeline. */
  static readonly folder: string = "adapter";

  /**
   * The features of pictures in [0, 1], as `UNet2DConditionModel.forward` takes them as
   * downIntrablockAdditionalResiduals, times a factor. Sides are multiples of downscale_factor.
   * x [B, in_channels, H, W] → [B, channels, h, w] for each block
   */
  forward<const Path extends string = never>(
    x: Tensor,
    options: TapOptions<Path> = {},
  ): { features: Tensor[]; taps: Taps<Path> } {
    expectOptions("look at a picture", options, ["taps"]);
    const { in_channels, downscale_factor: f } = this.config;
    expectInput("look at a picture", x, ["B", in_channels, "H", "W"]);
    if (x.size === 0 || x.shape[2]! % f || x.shape[3]! % f) {
      throw new RangeError(
        `Cannot look at a picture: expected sides as multiples of ${f}, got ${formatShape(x.shape)}`,
      );
    }
    const { results, taps } = this.tapped("forward", { x }, this.#run, options.taps);
    return { features: Object.values(results), taps };
  }

  /** Traces a picture of the usual size. */
  prepare(): void {
    const { in_channels, downscale_factor } = this.config;
    const side = USUAL_SIDE * downscale_factor;
    this.dryRun("forward", { x: zeros([1, in_channels, side, side]) }, this.#run);
  }

  #run = ({ x }: Tensors): Tensors => {
    const features = named(
      "adapter",
      () => t2iAdapter(x!, this.weights.tree as T2IAdapterWeights, this.config),
      [x!],
    );
    return Object.fromEntries(features.map((feature, i) => [`feature.${i}`, feature]));
  };
}
