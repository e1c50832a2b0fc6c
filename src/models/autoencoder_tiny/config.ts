import { z } from "zod";
import { type ConfigSchema, ignoredKey, positive, withCheck } from "../../io/config.ts";
import { actFnNames } from "../../nn/activations.ts";

/** An AutoencoderTiny's config: the keys of its config.json, of which files may lack some. */
export interface AutoencoderTinyConfig {
  /** The class that the file is for. */
  _class_name?: "AutoencoderTiny" | undefined;
  /** Channels of the picture that is encoded. */
  in_channels: number;
  /** Channels of the picture that is decoded. */
  out_channels: number;
  /** Channels of the encoder's stages, the widest picture first; all the same. */
  encoder_block_out_channels: number[];
  /** Channels of the decoder's stages, the smallest picture first; all the same. */
  decoder_block_out_channels: number[];
  /** The activation function within blocks; they end in a ReLU whatever it is. */
  act_fn: "swish" | "silu" | "mish" | "gelu" | "relu";
  /** Filter by which the decoder enlarges pictures. */
  upsample_fn: "nearest";
  /** Channels of the latents. */
  latent_channels: number;
  /** By how much each of the decoder's stages enlarges them. */
  upsampling_scaling_factor: 2;
  /** Blocks of each of the encoder's stages. */
  num_encoder_blocks: number[];
  /** Blocks of each of the decoder's stages. */
  num_decoder_blocks: number[];
  /** Latents lie within this distance of 0, for those who store them as bytes. */
  latent_magnitude: number;
  /** Added to latents over twice the magnitude, for those who store them as bytes. */
  latent_shift: number;
  /** Latents times this are what the denoiser takes: 1, as these models were trained on its latents. */
  scaling_factor: number;
  /** Subtracted from latents before they are scaled. */
  shift_factor: number;
}

/** Pixels on the side of a latent. */
export function tinyScaleFactor({ num_encoder_blocks }: AutoencoderTinyConfig): number {
  return 2 ** (num_encoder_blocks.length - 1);
}

const channels = z.array(positive).min(1).default([64, 64, 64, 64]);

/** The keys, with diffusers' defaults for those that a file lacks. */
const keys = z.looseObject({
  _class_name: z.literal("AutoencoderTiny").optional(),
  in_channels: positive.default(3),
  out_channels: positive.default(3),
  encoder_block_out_channels: channels,
  decoder_block_out_channels: channels,
  act_fn: z.string().toLowerCase().pipe(z.enum(actFnNames)).default("relu"),
  upsample_fn: z.literal("nearest").default("nearest"),
  latent_channels: positive.default(4),
  upsampling_scaling_factor: z.literal(2).default(2),
  num_encoder_blocks: z.array(z.int().nonnegative()).min(1).default([1, 3, 3, 3]),
  num_decoder_blocks: z.array(z.int().nonnegative()).min(1).default([3, 3, 3, 1]),
  latent_magnitude: z.number().positive().default(3),
  latent_shift: z.number().default(0.5),
  scaling_factor: z.number().positive().default(1),
  shift_factor: z.number().default(0),
  block_out_channels: ignoredKey, // the decoder's, which diffusers writes twice
  force_upcast: ignoredKey, // a test of diffusers' pipelines; nothing of it is in the model
});

/** Checks an AutoencoderTiny's config and fills in its defaults. */
export const autoencoderTinyConfig: ConfigSchema<AutoencoderTinyConfig> = withCheck(
  keys,
  (config, expect) => {
    for (const coder of ["encoder", "decoder"] as const) {
      const [widths, blocks] = [config[`${coder}_block_out_channels`], config[`num_${coder}_blocks`]];
      if (widths.length !== blocks.length) {
        expect(`${coder}_block_out_channels`, `${blocks.length} numbers, as many as num_${coder}_blocks`);
      }
      if (widths.some((width) => width !== widths[0])) {
        expect(`${coder}_block_out_channels`, "one number throughout: no layer of this model changes it");
      }
    }
    const { num_encoder_blocks: down, num_decoder_blocks: up } = config;
    if (up.length !== down.length) {
      expect("num_decoder_blocks", `${down.length} numbers, as many as num_encoder_blocks`);
    }
  },
);
