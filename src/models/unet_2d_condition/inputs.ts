import { expectOptions } from "../../core/error.ts";
import { formatShape, sameNumbers } from "../../core/shape.ts";
import { type Tensor, zeros } from "../../tensor/mod.ts";
import { expectInput, onePerRow } from "../inputs.ts";
import type { TapOptions } from "../runtime/model.ts";
import { classInput, type ClassLabels, expectSample, timestepFeatures } from "../unet_2d/inputs.ts";
import { type EncoderConfig, timeWidth, type UNet2DConditionConfig, valueOf } from "./config.ts";
import { type ImageAttention, type ImageInput, imageInputs } from "./image_attention.ts";

/** Tensors that a UNet2DConditionModel reads. */
export type UNet2DConditionInputs = {
  /** [B, C, H, W] */
  sample: Tensor;
  /** Features of the timesteps [B, K]. */
  time: Tensor;
  /** Embeddings of the prompts [B, tokens, cross_attention_dim]. */
  encoderHiddenStates: Tensor;
  /** 1 for tokens that are read, 0 for others [B, tokens]. */
  encoderAttentionMask?: Tensor;
  /** Pooled embeddings of the prompts [B, P]. */
  textEmbeds?: Tensor;
  /** Features of the pictures' sizes [B, ids · addition_time_embed_dim]. */
  timeIds?: Tensor;
  /** Features of the guidance scale [B, time_cond_proj_dim]. */
  timestepCond?: Tensor;
  /** Ids [B], vectors [B, V], or features like those of `time`, as the config's class_embed_type says. */
  classes?: Tensor;
  /** See `ResidualOptions`, whose lists are one input for each tensor. */
  [residual: `${ResidualList}.${number}`]: Tensor;
  /** See `ImageAttention`. */
  [image: ImageInput]: Tensor;
  midBlockAdditionalResidual?: Tensor;
};

/** Features of another network that are added to the UNet's, and have the shapes of those. */
export interface ResidualOptions {
  /** From a ControlNet, for each of the skip connections, that of conv_in first. */
  downBlockAdditionalResiduals?: readonly Tensor[] | undefined;
  /** From a ControlNet, for the result of the middle block. */
  midBlockAdditionalResidual?: Tensor | undefined;
  /** From a T2I adapter, for each block on the way down; one more is added behind the middle block. */
  downIntrablockAdditionalResiduals?: readonly Tensor[] | undefined;
}

type ResidualList = "downBlockAdditionalResiduals" | "downIntrablockAdditionalResiduals";

/** Conditions of SDXL besides the prompt. */
export interface AddedCond {
  /** Pooled embeddings of the prompts [B, P]. */
  textEmbeds: Tensor;
  /**
   * Original height and width, top and left of the crop, target height and width (in the refiner the
   * aesthetic score instead of the target): one list for all rows of the sample, or one a row.
   */
  timeIds: readonly number[] | readonly (readonly number[])[];
}

/** Options of `forward` that a ControlNetModel has, too. */
export interface ConditionOptions {
  /** For models with addition_embed_type "text_time", which are those of SDXL. */
  addedCond?: AddedCond | undefined;
  /** Features of the guidance scale [B, time_cond_proj_dim], for models distilled with guidance (LCM). */
  timestepCond?: Tensor | undefined;
  /** For models that draw classes: one for all rows, one a row, or vectors [B, V] where the config says so. */
  classLabels?: ClassLabels | undefined;
  /** 1 for tokens of the prompts that are read, 0 for others [B, tokens]; all are by default. */
  encoderAttentionMask?: Tensor | undefined;
}

/** Options of `UNet2DConditionModel.forward`. */
export interface UNet2DConditionOptions extends ConditionOptions, ResidualOptions {
  /** Tokens of pictures that layers of attention to the prompt see, by IP-Adapters. */
  imageAttention?: ImageAttention | undefined;
  /**
   * Layers of self-attention in which each pixel sees itself alone, by parts of their paths, e.g. ["mid"], or regular
   * expressions: for perturbed attention guidance.
   */
  perturbedAttention?: readonly string[] | undefined;
}

const OPTIONS = [
  "addedCond",
  "timestepCond",
  "classLabels",
  "encoderAttentionMask",
  "downBlockAdditionalResiduals",
  "midBlockAdditionalResidual",
  "downIntrablockAdditionalResiduals",
  "imageAttention",
  "perturbedAttention",
  "taps",
] satisfies (keyof (UNet2DConditionOptions & TapOptions))[];

/** Checks the arguments of `forward`, and makes tensors of its numbers. */
export function unet2DConditionInputs(
  sample: Tensor,
  t: number | readonly number[],
  encoderHiddenStates: Tensor,
  options: UNet2DConditionOptions,
  config: UNet2DConditionConfig,
): UNet2DConditionInputs {
  expectOptions("denoise", options, OPTIONS);
  const inputs = encoderInputs(sample, t, encoderHiddenStates, options, config);
  const images = imageInputs(options.imageAttention ?? [], sample.shape[0]!, config);
  return { ...inputs, ...residualInputs(options, config), ...images };
}

/** Those arguments that a ControlNetModel has, too. */
export function encoderInputs(
  sample: Tensor,
  t: number | readonly number[],
  encoderHiddenStates: Tensor,
  options: ConditionOptions,
  config: EncoderConfig,
): UNet2DConditionInputs {
  const B = expectSample(sample, config);
  const time = timestepFeatures(onePerRow("timestep", t, B), config);
  expectInput("use encoderHiddenStates", encoderHiddenStates, [B, "tokens", config.cross_attention_dim]);
  const inputs: UNet2DConditionInputs = { sample, time, encoderHiddenStates };

  const { encoderAttentionMask, timestepCond, classLabels } = options;
  if (encoderAttentionMask) {
    expectInput("use encoderAttentionMask", encoderAttentionMask, [B, encoderHiddenStates.shape[1]!]);
    inputs.encoderAttentionMask = encoderAttentionMask;
  }
  if (timestepCond) {
    if (config.time_cond_proj_dim === null) {
      throw new TypeError("Cannot denoise: expected no timestepCond, got one; time_cond_proj_dim is null");
    }
    expectInput("use timestepCond", timestepCond, [B, config.time_cond_proj_dim]);
    inputs.timestepCond = timestepCond;
  }
  const classes = classInput(classLabels, B, config, timestepFeatures);
  if (classes) inputs.classes = classes;
  if (classes && classLabels === classes) expectInput("use classLabels", classes, [B, vectorWidth(config)]);
  return { ...inputs, ...addedInputs(options.addedCond, B, config) };
}

const TIME_IDS = 6; // of SDXL; its refiner has 5

/** Zeros of the shapes that the config asks for, with which a trace reads every weight. */
export function emptyOptions(B: number, config: EncoderConfig): UNet2DConditionOptions {
  const { class_embed_type, num_class_embeds, time_cond_proj_dim, addition_time_embed_dim } = config;
  const projected = config.projection_class_embeddings_input_dim ?? 0;
  const options: UNet2DConditionOptions = {};
  if (config.addition_embed_type) {
    const count = Math.min(TIME_IDS, Math.floor((projected - 1) / addition_time_embed_dim!));
    const textEmbeds = zeros([B, projected - count * addition_time_embed_dim!]);
    options.addedCond = { textEmbeds, timeIds: new Array(count).fill(0) };
  }
  if (time_cond_proj_dim !== null) options.timestepCond = zeros([B, time_cond_proj_dim]);
  if (class_embed_type === null || class_embed_type === "timestep") {
    if (class_embed_type ?? num_class_embeds) options.classLabels = 0;
  } else {
    options.classLabels = zeros([B, vectorWidth(config)]);
  }
  return options;
}

function addedInputs(
  added: AddedCond | undefined,
  B: number,
  config: EncoderConfig,
): Pick<UNet2DConditionInputs, "textEmbeds" | "timeIds"> {
  const { addition_embed_type, addition_time_embed_dim, projection_class_embeddings_input_dim } = config;
  if (addition_embed_type === null) {
    if (!added) return {};
    throw new TypeError("Cannot denoise: expected no addedCond, got one; addition_embed_type is null");
  }
  const missing = !added?.textEmbeds ? "textEmbeds" : !added.timeIds ? "timeIds" : undefined;
  if (!added || missing) {
    throw new TypeError(
      `Cannot denoise: expected addedCond with textEmbeds and timeIds, got no ${missing}; ` +
        'addition_embed_type is "text_time"',
    );
  }
  const { textEmbeds, timeIds } = added;
  const [width, features] = [projection_class_embeddings_input_dim!, addition_time_embed_dim!];
  const values = textEmbeds.shape.at(-1) ?? 0;
  const count = (width - values) / features;
  if (!Number.isInteger(count) || count < 1) {
    throw new RangeError(
      `Cannot use textEmbeds: expected ${width} − ${features} · n values a row, got ${values}`,
    );
  }
  expectInput("use textEmbeds", textEmbeds, [B, values]);
  const ids = idsPerRow(timeIds, B);
  const odd = ids.find((row) => row.length !== count);
  if (ids.length !== B || odd) {
    throw new RangeError(
      `Cannot use timeIds: expected ${count} numbers for each of ${B} rows of the sample, got ` +
        `${odd?.length ?? count} for each of ${ids.length}`,
    );
  }
  return {
    textEmbeds,
    timeIds: timestepFeatures(ids.flat(), config, features).reshape([B, count * features]),
  };
}

/** Width V of classes that are given as vectors. */
function vectorWidth(config: EncoderConfig): number {
  const projected = config.projection_class_embeddings_input_dim;
  return config.class_embed_type === "identity" ? timeWidth(config) : projected!;
}

/** One list of ids for each row, where one may stand for all. */
function idsPerRow(timeIds: AddedCond["timeIds"], B: number): (readonly number[])[] {
  const single = timeIds.every((id) => typeof id === "number");
  return single ? new Array(B).fill(timeIds) : [...timeIds as readonly (readonly number[])[]];
}

function residualInputs(options: ResidualOptions, config: EncoderConfig): Record<string, Tensor> {
  const inputs: Record<string, Tensor> = {};
  const add = (name: ResidualList, expected: () => number[]) => {
    const residuals = options[name];
    if (!residuals?.length) return;
    const counts = expected();
    if (!counts.includes(residuals.length)) {
      throw new RangeError(
        `Cannot denoise: expected ${counts.join(" or ")} ${name}, got ${residuals.length}`,
      );
    }
    for (const [i, x] of residuals.entries()) inputs[`${name}.${i}`] = x;
  };
  const levels = config.block_out_channels.length;
  add("downBlockAdditionalResiduals", () => {
    const layers = config.block_out_channels.map((_, level) => valueOf(config.layers_per_block, level));
    return [layers.reduce((sum, n) => sum + n, levels)]; // of conv_in, each layer, each sampler
  });
  add("downIntrablockAdditionalResiduals", () => [levels, levels + 1]);
  const mid = options.midBlockAdditionalResidual;
  if (mid) inputs["midBlockAdditionalResidual"] = mid;
  return inputs;
}

/**
 * Adds a residual to the features that it is for, where the call has it: one for each pixel, or one for all, as
 * ControlNets with global_pool_conditions make it [B, C, 1, 1].
 */
export function addResidual(
  x: Tensor,
  inputs: UNet2DConditionInputs,
  name: `${ResidualList}.${number}` | "midBlockAdditionalResidual",
): Tensor {
  const residual = inputs[name];
  if (!residual) return x;
  const pooled = [...x.shape.slice(0, 2), 1, 1];
  if (sameNumbers(residual.shape, x.shape) || sameNumbers(residual.shape, pooled)) {
    return x.add(residual.cast(x.dtype));
  }
  throw new RangeError(
    `Cannot use ${name}: expected shape ${formatShape(x.shape)}, got ${formatShape(residual.shape)}`,
  );
}
