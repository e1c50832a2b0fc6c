import { z } from "zod";
import { absentIfNull, type ConfigSchema, flag, positive, withCheck } from "../../io/config.ts";
import { actFnNames } from "../../nn/activations.ts";
import { blockType } from "../unet_2d/config.ts";

/** A UNet2DConditionModel's config: the keys of its config.json, of which older files lack some. */
export interface UNet2DConditionConfig {
  /** The class that the file is for. */
  _class_name?: "UNet2DConditionModel" | undefined;
  /** Side or [H, W] of the latents it was trained on. */
  sample_size: number | [H: number, W: number] | null;
  /** Channels of the sample; for inpainting those of the mask and of the masked picture too. */
  in_channels: number;
  /** Channels of the prediction. */
  out_channels: number;
  /** Maps the sample from [0, 1] to [-1, 1] first. */
  center_input_sample: boolean;
  /** Cosines in front of sines. */
  flip_sin_to_cos: boolean;
  /** Taken from the number of frequencies that their exponents are divided by. */
  freq_shift: number;
  /** Blocks on the way down, the widest picture first. */
  down_block_types: ("CrossAttnDownBlock2D" | "DownBlock2D")[];
  /**
   * The block at the bottom: two residual blocks with attention between them, one residual block, or none.
   */
  mid_block_type: "UNetMidBlock2DCrossAttn" | "UNetMidBlock2D" | null;
  /** Blocks on the way up. */
  up_block_types: ("CrossAttnUpBlock2D" | "UpBlock2D")[];
  /** Pixels see the prompt instead of each other, in all blocks or in each on the way down. */
  only_cross_attention: boolean | boolean[];
  /** Channels of the blocks on the way down; those on the way up have them in reverse. */
  block_out_channels: number[];
  /** Residual blocks of a block on the way down; on the way up there is one more. */
  layers_per_block: number | number[];
  /** Zeros around the picture; 0 means one row at the bottom and one column at the right. */
  downsample_padding: number;
  /** Divides the sums with the residuals in the middle block. */
  mid_block_scale_factor: number;
  /** For training only. */
  dropout: number;
  /** The activation function of residual blocks and of time. */
  act_fn: "swish" | "silu" | "mish" | "gelu" | "relu";
  /** Groups of channels in each norm. */
  norm_num_groups: number;
  /** Added to variances. */
  norm_eps: number;
  /** Width of the prompt's embeddings. */
  cross_attention_dim: number;
  /**
   * Transformer blocks behind a residual block:
   * of all, of each block on the way down, or of each of its layers.
   */
  transformer_layers_per_block: number | (number | number[])[];
  /** The same for the blocks on the way up, where they differ from those on the way down. */
  reverse_transformer_layers_per_block: (number | number[])[] | null;
  /** The number of heads, whatever its name says: diffusers keeps the mistake, as all files have it. */
  attention_head_dim: number | number[];
  /** The number of heads under its right name; null: attention_head_dim. */
  num_attention_heads: number | number[] | null;
  /** Transformers begin and end with dense layers, not with convolutions. */
  use_linear_projection: boolean;
  /** Attention scores in f32, as they always are here. */
  upcast_attention: boolean;
  /** Added to the embedding of time: the pooled prompt and the picture's sizes, as in SDXL. */
  addition_embed_type: "text_time" | null;
  /** Features of each of the picture's sizes. */
  addition_time_embed_dim: number | null;
  /** Width of the vectors that the model reads besides the prompt. */
  projection_class_embeddings_input_dim: number | null;
  /**
   * Classes as numbers that are treated like timesteps, or as vectors;
   * null: rows of a table, if num_class_embeds says so.
   */
  class_embed_type: "timestep" | "identity" | "projection" | "simple_projection" | null;
  /** Rows of the table of classes. */
  num_class_embeds: number | null;
  /** Time shifts the activations, or scales and shifts them. */
  resnet_time_scale_shift: "default" | "scale_shift";
  /** Width T of the embedding of time that the blocks read; null: four times the first of block_out_channels. */
  time_embedding_dim: number | null;
  /** Width of `timestepCond`, the features of the guidance scale that distilled models read. */
  time_cond_proj_dim: number | null;
  /** Taps of the first convolution, one way. */
  conv_in_kernel: number;
  /** Taps of the last convolution, one way. */
  conv_out_kernel: number;
}

/** The keys that a ControlNetModel has too. */
export type EncoderConfig = Omit<
  UNet2DConditionConfig,
  | "_class_name"
  | "sample_size"
  | "out_channels"
  | "up_block_types"
  | "reverse_transformer_layers_per_block"
  | "conv_out_kernel"
  | "dropout"
>;

const odd = positive.refine((n) => n % 2 === 1, "an odd number");

/** One value for all blocks, or a list of one each. */
const each = <T extends z.ZodType>(value: T) => z.union([value, z.array(value)]);

const downBlockType = blockType.pipe(z.enum(["CrossAttnDownBlock2D", "DownBlock2D"]));
const upBlockType = blockType.pipe(z.enum(["CrossAttnUpBlock2D", "UpBlock2D"]));

/** The keys that a ControlNetModel has too, with diffusers' defaults for those that a file lacks. */
export const encoderKeys = {
  in_channels: positive.default(4),
  center_input_sample: flag(false),
  flip_sin_to_cos: flag(true),
  freq_shift: z.number().default(0),
  down_block_types: z.array(downBlockType).min(1)
    .default(["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"]),
  mid_block_type: z.enum(["UNetMidBlock2DCrossAttn", "UNetMidBlock2D"]).nullable()
    .default("UNetMidBlock2DCrossAttn"),
  only_cross_attention: each(z.boolean()).default(false),
  block_out_channels: z.array(positive).min(1).default([320, 640, 1280, 1280]),
  layers_per_block: each(positive).default(2),
  downsample_padding: z.int().nonnegative().default(1),
  mid_block_scale_factor: z.number().positive().default(1),
  act_fn: z.string().toLowerCase().pipe(z.enum(actFnNames)).default("silu"),
  norm_num_groups: positive.default(32),
  norm_eps: z.number().nonnegative().default(1e-5),
  cross_attention_dim: positive.default(1280),
  transformer_layers_per_block: z.union([positive, z.array(each(positive))]).default(1),
  attention_head_dim: each(positive).default(8),
  num_attention_heads: each(positive).nullable().default(null),
  use_linear_projection: flag(false),
  upcast_attention: flag(false),
  addition_embed_type: z.literal("text_time").nullable().default(null),
  addition_time_embed_dim: positive.nullable().default(null),
  projection_class_embeddings_input_dim: positive.nullable().default(null),
  class_embed_type: z.enum(["timestep", "identity", "projection", "simple_projection"]).nullable()
    .default(null),
  num_class_embeds: positive.nullable().default(null),
  resnet_time_scale_shift: z.enum(["default", "scale_shift"]).default("default"),
  time_embedding_dim: positive.nullable().default(null),
  time_cond_proj_dim: positive.nullable().default(null),
  conv_in_kernel: odd.default(3),
  // Of models that draw otherwise than Stable Diffusion; with any other value they would draw wrongly.
  encoder_hid_dim: z.null().default(null),
  encoder_hid_dim_type: z.null().default(null),
  dual_cross_attention: absentIfNull(z.literal(false).default(false)),
  time_embedding_type: z.literal("positional").default("positional"),
  time_embedding_act_fn: z.null().default(null),
  timestep_post_act: z.null().default(null),
  attention_type: absentIfNull(z.literal("default").default("default")),
  class_embeddings_concat: absentIfNull(z.literal(false).default(false)),
  cross_attention_norm: z.null().default(null),
  // Of blocks that are not among those above.
  resnet_skip_time_act: flag(false),
  resnet_out_scale_factor: absentIfNull(z.number().default(1)),
  mid_block_only_cross_attention: z.boolean().nullable().default(null),
  addition_embed_type_num_heads: absentIfNull(z.number().default(64)),
};

/** The keys, with diffusers' defaults for those that a file lacks. */
const keys = z.looseObject({
  ...encoderKeys,
  _class_name: z.literal("UNet2DConditionModel").optional(),
  sample_size: z.union([positive, z.tuple([positive, positive])]).nullable().default(null),
  out_channels: positive.default(4),
  up_block_types: z.array(upBlockType).min(1)
    .default(["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"]),
  reverse_transformer_layers_per_block: z.array(each(positive)).nullable().default(null),
  conv_out_kernel: odd.default(3),
  dropout: z.number().default(0),
});

/** Keys that may have a value for each block. */
const perBlock = [
  "down_block_types",
  "only_cross_attention",
  "layers_per_block",
  "transformer_layers_per_block",
  "attention_head_dim",
  "num_attention_heads",
] as const;

/** Checks what the keys of a ControlNetModel's config, too, have to do with each other. */
export function checkEncoder(config: EncoderConfig, expect: Expect<keyof EncoderConfig>): void {
  const { block_out_channels: channels } = config;
  for (const key of perBlock) expectPerBlock(key, config[key], channels, expect);
  const uneven = channels.find((n) => n % config.norm_num_groups !== 0);
  if (uneven) expect("norm_num_groups", `a divisor of ${uneven}, which is in block_out_channels`);
  const heads = config.num_attention_heads ? "num_attention_heads" : "attention_head_dim";
  const crowded = channels.find((n, i) => n < valueOf(config[heads]!, i));
  if (crowded) expect(heads, `at most ${crowded} heads, one a channel`);
  channels.forEach((_, i) => {
    const layers = valueOf(config.layers_per_block, i);
    expectPerLayer("transformer_layers_per_block", config.transformer_layers_per_block, i, layers, expect);
  });
  if (config.addition_embed_type && config.addition_time_embed_dim === null) {
    expect("addition_time_embed_dim", 'a number, as addition_embed_type is "text_time"');
  }
  const projects = config.addition_embed_type ?? config.class_embed_type;
  const projection = "projection_class_embeddings_input_dim";
  if (config[projection] === null && /text_time|projection/.test(projects ?? "")) {
    expect(projection, `a number, as the model has "${projects}"`);
  }
}

/** Throws that a key does not have what is expected. */
type Expect<Key extends string> = (key: Key, expected: string) => void;

function expectPerBlock<Key extends string>(
  key: Key,
  value: unknown,
  channels: readonly number[],
  expect: Expect<Key>,
): void {
  if (!Array.isArray(value) || value.length === channels.length) return;
  expect(key, `${channels.length} values, as many as block_out_channels`);
}

function expectPerLayer<Key extends string>(
  key: Key,
  values: number | readonly (number | number[])[] | null,
  block: number,
  layers: number,
  expect: Expect<Key>,
): void {
  const list = valueOf<number | number[] | null>(values, block);
  if (!Array.isArray(list) || list.length === layers) return;
  expect(key, `lists of one number for each residual block: ${layers} in list ${block}`);
}

/** Checks a UNet2DConditionModel's config and fills in its defaults. */
export const unet2DConditionConfig: ConfigSchema<UNet2DConditionConfig> = withCheck(
  keys,
  (config, expect) => {
    const { block_out_channels: channels, transformer_layers_per_block: transformers } = config;
    const reverse = "reverse_transformer_layers_per_block";
    checkEncoder(config, expect);
    for (const key of ["up_block_types", reverse] as const) {
      expectPerBlock(key, config[key], channels, expect);
    }
    if (Array.isArray(transformers) && transformers.some(Array.isArray) && !config[reverse]) {
      expect(reverse, "a list, as transformer_layers_per_block has lists in it");
    }
    channels.forEach((_, i) => {
      const layers = valueOf(config.layers_per_block, channels.length - 1 - i) + 1;
      expectPerLayer(reverse, config[reverse], i, layers, expect);
    });
  },
);

/** Width T of the embedding of time. */
export function timeWidth(config: EncoderConfig): number {
  return config.time_embedding_dim ?? 4 * config.block_out_channels[0]!;
}

/** The value for one block, of a key that has one for all or one each. */
export function valueOf<T>(value: T | readonly T[], block: number): T {
  return Array.isArray(value) ? value[block] : value as T;
}
