import { z } from "zod";
import { type ConfigSchema, flag, positive, withCheck } from "../../io/config.ts";
import { checkEncoder, type EncoderConfig, encoderKeys } from "../unet_2d_condition/config.ts";

/** A ControlNetModel's config: the keys of its config.json, most of which are those of the UNet's way down. */
export interface ControlNetConfig extends EncoderConfig {
  /** The class that the file is for. */
  _class_name?: "ControlNetModel" | undefined;
  /** Channels of the picture that controls. */
  conditioning_channels: number;
  /** Order of its colours: "bgr" for models that were trained on pictures of OpenCV. */
  controlnet_conditioning_channel_order: "rgb" | "bgr";
  /** Channels of its features, which lose half their size behind each but the last. */
  conditioning_embedding_out_channels: number[];
  /** Residuals are means over all pixels, as of models that shuffle the picture. */
  global_pool_conditions: boolean;
}

/** The keys, with diffusers' defaults for those that a file lacks. */
const keys = z.looseObject({
  ...encoderKeys,
  _class_name: z.literal("ControlNetModel").optional(),
  mid_block_type: z.enum(["UNetMidBlock2DCrossAttn", "UNetMidBlock2D"]).default("UNetMidBlock2DCrossAttn"),
  conditioning_channels: positive.default(3),
  controlnet_conditioning_channel_order: z.enum(["rgb", "bgr"]).default("rgb"),
  conditioning_embedding_out_channels: z.array(positive).min(1).default([16, 32, 96, 256]),
  global_pool_conditions: flag(false),
});

/** Checks a ControlNetModel's config and fills in its defaults. */
export const controlNetConfig: ConfigSchema<ControlNetConfig> = withCheck(keys, checkEncoder);

/** Pixels of the picture that controls on the side of a latent. */
export function controlScaleFactor({ conditioning_embedding_out_channels }: ControlNetConfig): number {
  return 2 ** (conditioning_embedding_out_channels.length - 1);
}
