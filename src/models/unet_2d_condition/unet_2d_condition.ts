import type { ConfigSchema } from "../../io/config.ts";
import { activation } from "../../nn/activations.ts";
import { groupNorm, type Layer } from "../../nn/layers.ts";
import { resnetStyle, type UNetBlock2D, unetTimeProjections, upBlock2D } from "../../nn/unet_2d_blocks.ts";
import { named, type Tensor, zeros } from "../../tensor/mod.ts";
import { withIdentityAttention } from "../runtime/weakened.ts";
import { Model, type TapOptions, type Taps } from "../runtime/model.ts";
import { sampleSizeOf } from "../unet_2d/inputs.ts";
import { conditioning } from "./conditioning.ts";
import { type UNet2DConditionConfig, unet2DConditionConfig, valueOf } from "./config.ts";
import {
  activationType,
  convIn,
  convSame,
  downBlocks,
  type EncoderWeights,
  middleBlock,
  transformersOf,
} from "./encoder.ts";
import {
  addResidual,
  emptyOptions,
  type UNet2DConditionInputs,
  unet2DConditionInputs,
  type UNet2DConditionOptions,
} from "./inputs.ts";
import type { Transformer2D } from "./transformer_2d.ts";

/** Weights of a UNet2DConditionModel. */
export interface UNet2DConditionWeights extends EncoderWeights {
  up_blocks: UNetBlock2D<Transformer2D>[];
  conv_norm_out: Layer;
  conv_out: Layer;
}

/**
 * Predicts the noise in a sample that a prompt describes: the UNet of latent diffusion (Rombach et al. 2022,
 * https://arxiv.org/abs/2112.10752), diffusers' UNet2DConditionModel. sample [B, C, H, W] → [B, out_channels, H,
 * W].
 */
export function unet2DCondition(
  inputs: UNet2DConditionInputs,
  w: UNet2DConditionWeights,
  config: UNet2DConditionConfig,
): Tensor {
  const { block_out_channels: channels, layers_per_block, transformer_layers_per_block: transformers } =
    config;
  const transformersUp = config.reverse_transformer_layers_per_block ?? reversed(transformers);
  const levels = channels.length;
  const dtype = activationType(w);
  const temb = activation(config.act_fn)(conditioning(inputs, w, dtype, config));
  const times = unetTimeProjections(temb, w, config.mid_block_type !== null);
  const transformersAt = transformersOf(inputs, dtype, config);

  let x = inputs.sample.cast(dtype);
  if (config.center_input_sample) x = x.mul(2).sub(1);
  const down = downBlocks(convIn(x, w, config), w, times, { inputs, transformersAt, config });
  const skips = down.map((skip, i) => addResidual(skip, inputs, `downBlockAdditionalResiduals.${i}`));
  x = middleBlock(down.at(-1)!, w, times, { transformersAt, config });
  x = addResidual(x, inputs, `downIntrablockAdditionalResiduals.${levels}`);
  x = addResidual(x, inputs, "midBlockAdditionalResidual");

  for (const [i, type] of config.up_block_types.entries()) {
    const level = levels - 1 - i;
    const layers = valueOf(layers_per_block, level) + 1;
    const own = skips.splice(-layers);
    const size = (skips.at(-1) ?? x).shape.slice(-2) as [H: number, W: number]; // of the next block's skips
    const options = {
      layers,
      resnet: { ...resnetStyle(config), channels: channels[level]! },
      attention: type === "CrossAttnUpBlock2D"
        ? transformersAt(level, valueOf(transformersUp, i), valueOf(config.only_cross_attention, level))
        : null,
      sampler: i === levels - 1 ? null : "conv",
      size,
    } as const;
    x = named(`up_blocks.${i}`, () => upBlock2D(x, own, w.up_blocks[i]!, times, options), [x, ...own]);
  }

  x = named("conv_norm_out", () => groupNorm(x, w.conv_norm_out, resnetStyle(config)), [x]);
  const active = activation(config.act_fn)(x);
  const { out_channels, conv_out_kernel } = config;
  return named("conv_out", () => convSame(active, w.conv_out, out_channels, conv_out_kernel), [active]);
}

/** Values of the blocks on the way down in the order of those on the way up. */
function reversed<T>(values: T | T[]): T | T[] {
  return Array.isArray(values) ? values.toReversed() : values;
}

const PROMPT_TOKENS = 77; // of CLIP

/** Predicts the noise in a sample that a prompt describes; diffusers' UNet2DConditionModel. */
export class UNet2DConditionModel extends Model<UNet2DConditionConfig> {
  /** Checks a config.json and fills in its defaults. */
  static readonly schema: ConfigSchema<UNet2DConditionConfig> = unet2DConditionConfig;
  /** Its folder in a pipeline. */
  static readonly folder: string = "unet";

  /**
   * The model's output for a sample [B, C, H, W] at timestep `t`, one for all rows or one a row, and for the
   * prompts' embeddings [B, tokens, cross_attention_dim]. What depends on the prompts alone is computed when
   * they change.
   */
  forward<const Path extends string = never>(
    sample: Tensor,
    t: number | readonly number[],
    encoderHiddenStates: Tensor,
    options: UNet2DConditionOptions & TapOptions<Path> = {},
  ): { sample: Tensor; taps: Taps<Path> } {
    const inputs = unet2DConditionInputs(sample, t, encoderHiddenStates, options, this.config);
    const { perturbedAttention: layers = [], taps } = options;
    const key = ["forward", ...layers.map((layer) => `identity in ${layer}`)].join("; ");
    const weakened = withIdentityAttention(this.constructor.name, layers, this.#run);
    const run = this.tapped(key, inputs, weakened, taps);
    return { ...run.results, taps: run.taps };
  }

  /** Sides of the samples it was trained on, or the least that it can halve where its config has none. */
  get sampleSize(): [H: number, W: number] {
    return sampleSizeOf(this.config);
  }

  /** Traces at the size the model was trained for, with guidance: two rows. */
  prepare(): void {
    const { in_channels, cross_attention_dim } = this.config;
    const sample = zeros([2, in_channels, ...this.sampleSize]);
    const prompts = zeros([2, PROMPT_TOKENS, cross_attention_dim]);
    const options = emptyOptions(2, this.config);
    this.dryRun("forward", unet2DConditionInputs(sample, 0, prompts, options, this.config), this.#run);
  }

  #run = (inputs: Record<string, Tensor>): { sample: Tensor } => ({
    sample: unet2DCondition(
      inputs as UNet2DConditionInputs,
      this.weights.tree as UNet2DConditionWeights,
      this.config,
    ),
  });
}
