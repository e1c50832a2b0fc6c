import type { ConfigSchema } from "../../io/config.ts";
import { expectOptions } from "../../core/error.ts";
import { formatShape } from "../../core/shape.ts";
import { activation } from "../../nn/activations.ts";
import { type ConditioningEmbedding, conditioningEmbedding } from "../../nn/conditioning_embedding.ts";
import { conv1x1, type Layer } from "../../nn/layers.ts";
import { unetTimeProjections } from "../../nn/unet_2d_blocks.ts";
import { named, type Tensor, tensor, zeros } from "../../tensor/mod.ts";
import { expectInput } from "../inputs.ts";
import { Model, type TapOptions, type Taps } from "../runtime/model.ts";
import type { Tensors } from "../runtime/traces.ts";
import { valueOf } from "../unet_2d_condition/config.ts";
import { conditioning } from "../unet_2d_condition/conditioning.ts";
import {
  activationType,
  convIn,
  downBlocks,
  type EncoderWeights,
  middleBlock,
  transformersOf,
} from "../unet_2d_condition/encoder.ts";
import {
  type ConditionOptions,
  emptyOptions,
  encoderInputs,
  type UNet2DConditionInputs,
} from "../unet_2d_condition/inputs.ts";
import { type ControlNetConfig, controlNetConfig, controlScaleFactor } from "./config.ts";

/** Weights of a ControlNetModel. */
export interface ControlNetWeights extends EncoderWeights {
  controlnet_cond_embedding: ConditioningEmbedding;
  controlnet_down_blocks: readonly Layer[];
  controlnet_mid_block: Layer;
}

/** Tensors that a ControlNetModel reads. */
export type ControlNetInputs = UNet2DConditionInputs & {
  /** The picture [B, C, H, W], or one for all rows [1, C, H, W]. */
  controlnetCond: Tensor;
  /** Factors of the residuals, that of the middle last [N]. */
  scales: Tensor;
};

/**
 * A copy of a UNet's way down that sees a picture, and what it adds to the UNet's features: ControlNet (Zhang
 * et al. 2023, https://arxiv.org/abs/2302.05543). → residuals of all skip connections, then of the middle.
 */
export function controlNet(
  inputs: ControlNetInputs,
  w: ControlNetWeights,
  config: ControlNetConfig,
): Tensor[] {
  const dtype = activationType(w);
  const temb = activation(config.act_fn)(conditioning(inputs, w, dtype, config));
  const times = unetTimeProjections(temb, { ...w, up_blocks: [] }, true);
  const transformersAt = transformersOf(inputs, dtype, config);

  const x = convIn(inputs.sample.cast(dtype), w, config);
  const picture = inputs.controlnetCond.cast(dtype);
  const control = named("controlnet_cond_embedding", () => embedPicture(picture, w, config), [picture]);
  const down = downBlocks(x.add(control), w, times, { inputs, transformersAt, config });
  const middle = middleBlock(down.at(-1)!, w, times, { transformersAt, config });

  const project = (x: Tensor, layer: Layer, i: number) => {
    const residual = conv1x1(x, layer, x.shape[1]!).mul(inputs.scales.slice(0, i, i + 1));
    return config.global_pool_conditions ? residual.mean([2, 3], { keepdim: true }) : residual;
  };
  const residuals = down.map((x, i) =>
    named(`controlnet_down_blocks.${i}`, () => project(x, w.controlnet_down_blocks[i]!, i), [x])
  );
  const last = () => project(middle, w.controlnet_mid_block, down.length);
  return [...residuals, named("controlnet_mid_block", last, [middle])];
}

/** A picture's features, as many as those of conv_in. x [B, C, f h, f w] → [B, channels, h, w]. */
function embedPicture(
  x: Tensor,
  { controlnet_cond_embedding: w }: ControlNetWeights,
  config: ControlNetConfig,
) {
  const picture = config.controlnet_conditioning_channel_order === "bgr" ? x.flip(1) : x;
  const [width] = config.block_out_channels;
  return conditioningEmbedding(picture, w, config.conditioning_embedding_out_channels, width!);
}

/** Options of `ControlNetModel.forward`. */
export interface ControlNetOptions extends ConditionOptions {
  /** Factor of all residuals; 1 by default. */
  conditioningScale?: number | undefined;
  /** Ratio of each residual's factor to that of the next, deeper one; 1 by default. */
  decay?: number | undefined;
  /** Residuals grow from a tenth in front to all in the middle: for guidance without a prompt. */
  guessMode?: boolean | undefined;
}

/** The residuals that a ControlNetModel makes, as `UNet2DConditionModel.forward` takes them. */
export interface ControlNetOutput {
  /** For each of the skip connections, that of conv_in first. */
  downBlockResSamples: Tensor[];
  /** For the result of the middle block. */
  midBlockResSample: Tensor;
}

const OPTIONS = [
  "addedCond",
  "timestepCond",
  "classLabels",
  "encoderAttentionMask",
  "conditioningScale",
  "decay",
  "guessMode",
  "taps",
] satisfies (keyof (ControlNetOptions & TapOptions))[];

const PROMPT_TOKENS = 77; // of CLIP
const USUAL_SIDE = 64; // latents of Stable Diffusion

/** Lets a picture, such as edges, depth or a pose, control what a UNet draws; diffusers' ControlNetModel. */
export class ControlNetModel extends Model<ControlNetConfig> {
  /** Checks a config.json and fills in its defaults. */
  static readonly schema: ConfigSchema<ControlNetConfig> = controlNetConfig;
  /** Its folder in a pipeline. */
  static readonly folder: string = "controlnet";

  /**
   * The residuals for a sample [B, C, H, W] at timestep `t`, one for all rows or one a row, the prompts'
   * embeddings [B, tokens, cross_attention_dim] and a picture in [0, 1], one for all rows or one a row [1 or B,
   * C, f H, f W], which is looked at when it changes.
   */
  forward<const Path extends string = never>(
    sample: Tensor,
    t: number | readonly number[],
    encoderHiddenStates: Tensor,
    controlnetCond: Tensor,
    options: ControlNetOptions & TapOptions<Path> = {},
  ): ControlNetOutput & { taps: Taps<Path> } {
    const inputs = this.#inputs(sample, t, encoderHiddenStates, controlnetCond, options);
    const { results, taps } = this.tapped("forward", inputs, this.#run, options.taps);
    const residuals = Object.values(results);
    return { downBlockResSamples: residuals.slice(0, -1), midBlockResSample: residuals.at(-1)!, taps };
  }

  /** Pixels of the picture that controls on the side of a latent: 8. */
  get scaleFactor(): number {
    return controlScaleFactor(this.config);
  }

  /** Traces at a usual size, with guidance: two rows. */
  prepare(): void {
    const { in_channels, cross_attention_dim, conditioning_channels } = this.config;
    const pixels = USUAL_SIDE * this.scaleFactor;
    const inputs = this.#inputs(
      zeros([2, in_channels, USUAL_SIDE, USUAL_SIDE]),
      0,
      zeros([2, PROMPT_TOKENS, cross_attention_dim]),
      zeros([1, conditioning_channels, pixels, pixels]),
      emptyOptions(2, this.config),
    );
    this.dryRun("forward", inputs, this.#run);
  }

  /** Checks the arguments of `forward`, and makes tensors of its numbers. */
  #inputs(
    sample: Tensor,
    t: number | readonly number[],
    encoderHiddenStates: Tensor,
    controlnetCond: Tensor,
    options: ControlNetOptions & TapOptions,
  ): ControlNetInputs {
    expectOptions("control", options, OPTIONS);
    const { conditioningScale = 1, decay = 1, guessMode = false } = options;
    const { config, scaleFactor: f } = this;
    for (const [name, value] of Object.entries({ conditioningScale, decay })) {
      if (Number.isFinite(value)) continue;
      throw new RangeError(`Cannot control with ${name} ${value}: expected a number`);
    }
    const inputs = encoderInputs(sample, t, encoderHiddenStates, options, config);
    const [B, , h, w] = sample.shape as [number, number, number, number];
    const expected = ["1 or B", config.conditioning_channels, f * h, f * w];
    expectInput("use controlnetCond", controlnetCond, expected);
    if (controlnetCond.shape[0] !== 1 && controlnetCond.shape[0] !== B) {
      throw new RangeError(
        `Cannot use controlnetCond: expected one picture, or ${B} as there are rows in the sample, got ${
          formatShape(controlnetCond.shape)
        }`,
      );
    }
    const rises = guessMode && !config.global_pool_conditions;
    const scales = scalesOf(config, { scale: conditioningScale, decay, rises });
    return { ...inputs, controlnetCond, scales: tensor(scales) };
  }

  #run = (inputs: Tensors): Tensors => {
    const residuals = controlNet(
      inputs as ControlNetInputs,
      this.weights.tree as ControlNetWeights,
      this.config,
    );
    return Object.fromEntries(residuals.map((residual, i) => [`residual.${i}`, residual]));
  };
}

/**
 * Factors of all residuals: growing by equal ratios to `scale`, that of the middle block; by 1 / `decay`, and where it rises from
 * a tenth, as torch.logspace(-1, 0).
 */
function scalesOf(
  config: ControlNetConfig,
  { scale, decay, rises }: { readonly scale: number; readonly decay: number; readonly rises: boolean },
): number[] {
  const levels = config.block_out_channels.length;
  const layers = Array.from({ length: levels }, (_, level) => valueOf(config.layers_per_block, level));
  const skips = layers.reduce((sum, n) => sum + n, levels); // of conv_in, each layer, each sampler
  return Array.from(
    { length: skips + 1 },
    (_, i) => scale * decay ** (skips - i) * (rises ? 10 ** (i / skips - 1) : 1),
  );
}
