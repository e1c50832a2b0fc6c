import { z } from "zod";
import { type ConfigSchema, ignoredKey, positive, withCheck } from "../../io/config.ts";
import {
  checkCoders,
  downBlockTypes,
  type KLConfig,
  klKeys,
  sampleSize,
  upBlockTypes,
} from "../autoencoder_kl/config.ts";

/** An AutoencoderKLFlux2's config: the keys of its config.json, of which files lack some. */
export interface AutoencoderKLFlux2Config extends KLConfig {
  /** The class that the file is for. */
  _class_name?: "AutoencoderKLFlux2" | undefined;
  /** Channels of the decoder's blocks, the largest picture first, where it is narrower than the encoder. */
  decoder_block_out_channels: number[] | null;
  /** Latents on the sides of a patch, each of whose numbers has a mean and a variance of its own. */
  patch_size: [2, 2];
  /** Added to these variances. */
  batch_norm_eps: number;
}

/** The keys, with diffusers' defaults for those that a file lacks. */
const keys = z.looseObject({
  ...klKeys,
  _class_name: z.literal("AutoencoderKLFlux2").optional(),
  down_block_types: downBlockTypes.default(() => new Array(4).fill("DownEncoderBlock2D")),
  up_block_types: upBlockTypes.default(() => new Array(4).fill("UpDecoderBlock2D")),
  block_out_channels: z.array(positive).min(1).default([128, 256, 512, 512]),
  decoder_block_out_channels: z.array(positive).nullable().default(null),
  layers_per_block: positive.default(2),
  latent_channels: positive.default(32),
  sample_size: sampleSize.default(1024),
  patch_size: z.tuple([z.literal(2), z.literal(2)]).default([2, 2]), // as pipelines have it, whatever the file says
  batch_norm_eps: z.number().positive().default(1e-4),
  batch_norm_momentum: ignoredKey,
  force_upcast: ignoredKey, // diffusers' class does not know it
});

/** Checks an AutoencoderKLFlux2's config and fills in its defaults. */
export const autoencoderKLFlux2Config: ConfigSchema<AutoencoderKLFlux2Config> = withCheck(
  keys,
  (config, expect) => {
    checkCoders(config, expect);
    const blocks = config.block_out_channels.length;
    const decoder = config.decoder_block_out_channels;
    if (decoder && decoder.length !== blocks) {
      expect("decoder_block_out_channels", `${blocks} numbers, as many as block_out_channels`);
    }
  },
);
