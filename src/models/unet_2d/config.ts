import { z } from "zod";
import { absentIfNull, type ConfigSchema, flag, positive, withCheck } from "../../io/config.ts";
import { actFnNames } from "../../nn/activations.ts";

/** A UNet2DModel's config: the keys of its config.json, of which older files lack some. */
export interface UNet2DConfig {
  /** The class that the file is for. */
  _class_name?: "UNet2DModel" | undefined;
  /** Side or [H, W] of the images it was trained on. */
  sample_size: number | [H: number, W: number] | null;
  /** Channels of the sample. */
  in_channels: number;
  /** Channels of the prediction. */
  out_channels: number;
  /** Maps the sample from [0, 1] to [-1, 1] first. */
  center_input_sample: boolean;
  /** Features of a timestep: sines of fixed or of random frequencies, or a row of a table. */
  time_embedding_type: "positional" | "fourier" | "learned";
  /** Width T of the embedding of time that the blocks read; null: four times the first of block_out_channels. */
  time_embedding_dim: number | null;
  /** Taken from the number of frequencies that their exponents are divided by. */
  freq_shift: number;
  /** Cosines in front of sines. */
  flip_sin_to_cos: boolean;
  /** Blocks on the way down, the widest picture first. */
  down_block_types: ("DownBlock2D" | "AttnDownBlock2D" | "ResnetDownsampleBlock2D")[];
  /** The block at the bottom, or null for none. */
  mid_block_type: "UNetMidBlock2D" | null;
  /** Blocks on the way up. */
  up_block_types: ("UpBlock2D" | "AttnUpBlock2D" | "ResnetUpsampleBlock2D")[];
  /** Channels of the blocks on the way down; those on the way up have them in reverse. */
  block_out_channels: number[];
  /** Residual blocks of a block on the way down; on the way up there is one more. */
  layers_per_block: number;
  /** Divides the sums with the residuals in the middle block. */
  mid_block_scale_factor: number;
  /** Zeros around the picture; 0 means one row at the bottom and one column at the right. */
  downsample_padding: number;
  /** Blocks with attention halve the size by a convolution, or in a residual block. */
  downsample_type: "conv" | "resnet";
  /** Blocks with attention double the size by a convolution, or in a residual block. */
  upsample_type: "conv" | "resnet";
  /** For training only. */
  dropout: number;
  /** The activation function of the residual blocks. */
  act_fn: "swish" | "silu" | "mish" | "gelu" | "relu";
  /** Channels of a head of attention; null: one head of all. */
  attention_head_dim: number | null;
  /** Groups of channels in each norm. */
  norm_num_groups: number;
  /**
   * Groups in the norm of the middle block's attention; null: norm_num_groups, or no norm with "scale_shift".
   */
  attn_norm_num_groups: number | null;
  /** Added to variances. */
  norm_eps: number;
  /** Time shifts the activations, or scales and shifts them. */
  resnet_time_scale_shift: "default" | "scale_shift";
  /** Attention in the middle block. */
  add_attention: boolean;
  /**
   * Classes as numbers that are treated like timesteps, or as vectors;
   * null: rows of a table, if num_class_embeds says so.
   */
  class_embed_type: "timestep" | "identity" | null;
  /** Rows of the table of classes. */
  num_class_embeds: number | null;
  /** Rows of the table of learned times. */
  num_train_timesteps: number | null;
}

/** A type of block, in files from before diffusers 0.1 with "UNetRes" in front, e.g. "UNetResDownBlock2D". */
export const blockType = z.string().transform((name) => name.replace(/^UNetRes/, ""));

const downBlockType = blockType.pipe(z.enum(["DownBlock2D", "AttnDownBlock2D", "ResnetDownsampleBlock2D"]));
const upBlockType = blockType.pipe(z.enum(["UpBlock2D", "AttnUpBlock2D", "ResnetUpsampleBlock2D"]));

/** The keys, with diffusers' defaults for those that a file lacks. */
const keys = z.looseObject({
  _class_name: z.literal("UNet2DModel").optional(),
  sample_size: z.union([positive, z.tuple([positive, positive])]).nullable().default(null),
  in_channels: positive.default(3),
  out_channels: positive.default(3),
  center_input_sample: flag(false),
  time_embedding_type: z.enum(["positional", "fourier", "learned"]).default("positional"),
  time_embedding_dim: positive.nullable().default(null),
  freq_shift: z.number().default(0),
  flip_sin_to_cos: flag(true),
  down_block_types: z.array(downBlockType).min(1)
    .default(["DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"]),
  mid_block_type: z.literal("UNetMidBlock2D").nullable().default("UNetMidBlock2D"),
  up_block_types: z.array(upBlockType).min(1)
    .default(["AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"]),
  block_out_channels: z.array(positive).min(1).default([224, 448, 672, 896]),
  layers_per_block: positive.default(2),
  mid_block_scale_factor: z.number().positive().default(1),
  downsample_padding: z.int().nonnegative().default(1),
  downsample_type: absentIfNull(z.enum(["conv", "resnet"]).default("conv")),
  upsample_type: absentIfNull(z.enum(["conv", "resnet"]).default("conv")),
  dropout: z.number().default(0),
  act_fn: z.string().toLowerCase().pipe(z.enum(actFnNames)).default("silu"),
  attention_head_dim: positive.nullable().default(8),
  norm_num_groups: positive.default(32),
  attn_norm_num_groups: positive.nullable().default(null),
  norm_eps: z.number().nonnegative().default(1e-5),
  resnet_time_scale_shift: z.enum(["default", "scale_shift"]).default("default"),
  add_attention: flag(true),
  class_embed_type: z.enum(["timestep", "identity"]).nullable().default(null),
  num_class_embeds: positive.nullable().default(null),
  num_train_timesteps: positive.nullable().default(null),
});

/** Checks a UNet2DModel's config and fills in its defaults. */
export const unet2DConfig: ConfigSchema<UNet2DConfig> = withCheck(keys, (config, expect) => {
  const { block_out_channels: channels, attention_head_dim: headDim } = config;

  for (const key of ["down_block_types", "up_block_types"] as const) {
    if (config[key].length !== channels.length) {
      expect(key, `${channels.length} names, as many as block_out_channels`);
    }
  }
  const normed = { norm_num_groups: channels, attn_norm_num_groups: channels.slice(-1) };
  for (const key of ["norm_num_groups", "attn_norm_num_groups"] as const) {
    const groups = config[key];
    const uneven = groups && normed[key].find((n) => n % groups !== 0);
    if (uneven) expect(key, `a divisor of ${uneven}, which is in block_out_channels`);
  }
  const narrowest = Math.min(...attendedChannels(config));
  if (headDim !== null && headDim > narrowest) {
    expect("attention_head_dim", `at most ${narrowest}, the channels of a block with attention`);
  }
  if (config.time_embedding_type === "learned" && config.num_train_timesteps === null) {
    expect("num_train_timesteps", 'a number, as time_embedding_type is "learned"');
  }
});

/** Widths of the blocks that have attention. */
function attendedChannels(config: UNet2DConfig): number[] {
  const channels = config.block_out_channels;
  const attends = (type?: string) => type?.startsWith("Attn");
  return [
    ...channels.filter((_, i) => attends(config.down_block_types[i])),
    ...channels.toReversed().filter((_, i) => attends(config.up_block_types[i])),
    ...(config.mid_block_type && config.add_attention ? channels.slice(-1) : []),
  ];
}
