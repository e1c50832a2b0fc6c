import { z } from "zod";
import { type ConfigSchema, flag, positive, withCheck } from "../../io/config.ts";
import { actFnNames } from "../../nn/activations.ts";

/** The keys of a config that say how an autoencoder encodes and decodes. */
export interface KLConfig {
  /** Channels of the picture that is encoded. */
  in_channels: number;
  /** Channels of the picture that is decoded. */
  out_channels: number;
  /** Blocks of the encoder, the widest picture first. */
  down_block_types: "DownEncoderBlock2D"[];
  /** Blocks of the decoder, the smallest picture first. */
  up_block_types: "UpDecoderBlock2D"[];
  /** Channels of the encoder's blocks; those of the decoder have them in reverse. */
  block_out_channels: number[];
  /** The same of the decoder, where it is narrower. */
  decoder_block_out_channels?: number[] | null | undefined;
  /** Residual blocks of a block of the encoder; the decoder's have one more. */
  layers_per_block: number;
  /** The activation function of the residual blocks. */
  act_fn: "swish" | "silu" | "mish" | "gelu" | "relu";
  /** Channels of the latents. */
  latent_channels: number;
  /** Groups of channels in each norm. */
  norm_num_groups: number;
  /** Side or [H, W] of the pictures it was trained on. */
  sample_size: number | [H: number, W: number];
  /** A 1×1 convolution behind the encoder. */
  use_quant_conv: boolean;
  /** A 1×1 convolution in front of the decoder. */
  use_post_quant_conv: boolean;
  /** Attention in both middle blocks. */
  mid_block_add_attention: boolean;
}

/** An AutoencoderKL's config: the keys of its config.json, of which older files lack some. */
export interface AutoencoderKLConfig extends KLConfig {
  /** The class that the file is for. */
  _class_name?: "AutoencoderKL" | undefined;
  /** Latents times this have variance 1. */
  scaling_factor: number;
  /** Subtracted from latents before they are scaled. */
  shift_factor: number | null;
  /** Mean of each channel of latents, with `latents_std` in place of `shift_factor`. */
  latents_mean: number[] | null;
  /** Standard deviation of each channel of latents. */
  latents_std: number[] | null;
  /** Activations overflow f16, so they are f32 even where weights are f16. */
  force_upcast: boolean;
}

/** Pixels on the side of a latent. */
export function scaleFactor({ block_out_channels }: KLConfig): number {
  return 2 ** (block_out_channels.length - 1);
}

/** Side in pixels of the least tile whose quarter is a whole latent; all others are multiples of it. */
export function smallestTile(config: KLConfig): number {
  return 4 * scaleFactor(config);
}

/** Channels of the blocks that encode or decode, the widest picture first. */
export function channelsOf(verb: "encode" | "decode", config: KLConfig): number[] {
  const { block_out_channels, decoder_block_out_channels } = config;
  return (verb === "decode" ? decoder_block_out_channels : undefined) ?? block_out_channels;
}

/** The keys of a KLConfig whose defaults all classes share. */
export const klKeys = {
  in_channels: positive.default(3),
  out_channels: positive.default(3),
  act_fn: z.string().toLowerCase().pipe(z.enum(actFnNames)).default("silu"),
  norm_num_groups: positive.default(32),
  use_quant_conv: flag(true),
  use_post_quant_conv: flag(true),
  mid_block_add_attention: flag(true),
};

/** Blocks of an encoder. */
export const downBlockTypes = z.array(z.literal("DownEncoderBlock2D")).min(1);

/** Blocks of a decoder. */
export const upBlockTypes = z.array(z.literal("UpDecoderBlock2D")).min(1);

/** Side of a picture, or height and width. */
export const sampleSize = z.union([positive, z.tuple([positive, positive])]);

/** Checks that blocks and norms fit to the channels. */
export function checkCoders(
  config: KLConfig,
  expect: (key: "down_block_types" | "up_block_types" | "norm_num_groups", expected: string) => void,
): void {
  const { block_out_channels, decoder_block_out_channels, norm_num_groups: groups } = config;
  const names = `${block_out_channels.length} names, as many as block_out_channels`;
  if (config.down_block_types.length !== block_out_channels.length) expect("down_block_types", names);
  if (config.up_block_types.length !== block_out_channels.length) expect("up_block_types", names);
  for (const [key, channels] of Object.entries({ block_out_channels, decoder_block_out_channels })) {
    const uneven = channels?.find((n) => n % groups !== 0);
    if (uneven) return expect("norm_num_groups", `a divisor of ${uneven}, which is in ${key}`);
  }
}

/** The keys, with diffusers' defaults for those that a file lacks. */
const keys = z.looseObject({
  ...klKeys,
  _class_name: z.literal("AutoencoderKL").optional(),
  down_block_types: downBlockTypes.default(["DownEncoderBlock2D"]),
  up_block_types: upBlockTypes.default(["UpDecoderBlock2D"]),
  block_out_channels: z.array(positive).min(1).default([64]),
  layers_per_block: positive.default(1),
  latent_channels: positive.default(4),
  sample_size: sampleSize.default(32),
  scaling_factor: z.number().positive().default(0.18215),
  shift_factor: z.number().nullable().default(null),
  latents_mean: z.array(z.number()).nullable().default(null),
  latents_std: z.array(z.number().positive()).nullable().default(null),
  force_upcast: flag(true),
});

/** Checks an AutoencoderKL's config and fills in its defaults. */
export const autoencoderKLConfig: ConfigSchema<AutoencoderKLConfig> = withCheck(keys, (config, expect) => {
  const { latent_channels: latents } = config;
  checkCoders(config, expect);
  for (const key of ["latents_mean", "latents_std"] as const) {
    if (config[key] && config[key].length !== latents) {
      expect(key, `${latents} numbers, one a latent channel`);
    }
  }
  if (config.latents_mean && !config.latents_std) expect("latents_std", "a list, as latents_mean is one");
  if (config.latents_std && !config.latents_mean) expect("latents_mean", "a list, as latents_std is one");
});
