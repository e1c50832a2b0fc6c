import { z } from "zod";
import { absentIfNull, type ConfigSchema, positive, withCheck } from "../../io/config.ts";
import {
  checkAxes,
  type FluxTransformer2DConfig,
  innerDim,
  sharedKeys,
} from "../flux_transformer_2d/config.ts";

/** A FluxControlNetModel's config: the keys of its config.json, most of which are those of the transformer. */
export interface FluxControlNetConfig extends Omit<FluxTransformer2DConfig, "_class_name" | "out_channels"> {
  /** The class that the file is for. */
  _class_name?: "FluxControlNetModel" | undefined;
  /** Kinds of pictures that it was trained with, of which `controlMode` says one; without it there is one kind. */
  num_mode?: number | undefined;
  /** Channels of its own features of a picture, which it sees in place of latents, as XLabs' models do. */
  conditioning_embedding_channels?: number | undefined;
}

const keys = z.looseObject({
  ...sharedKeys,
  _class_name: z.literal("FluxControlNetModel").optional(),
  num_mode: absentIfNull(positive.optional()),
  conditioning_embedding_channels: absentIfNull(positive.optional()),
});

/** Checks a FluxControlNetModel's config and fills in its defaults. */
export const fluxControlNetConfig: ConfigSchema<FluxControlNetConfig> = withCheck(keys, (config, expect) => {
  checkAxes(config, expect);
  const { conditioning_embedding_channels: own, patch_size, in_channels } = config;
  if (own !== undefined && own * patch_size ** 2 !== in_channels) {
    expect("in_channels", `${own * patch_size ** 2}, the features of ${patch_size} x ${patch_size} places`);
  }
});

/** Throws unless a ControlNet was made for such a transformer. */
export function expectOfFlux(config: FluxControlNetConfig, transformer: FluxTransformer2DConfig): void {
  const refuse = (key: string, expected: number, got: number) => {
    throw new TypeError(
      `Cannot control by this ControlNet: expected ${key} ${expected}, as the transformer has, got ${got}; it is for another model`,
    );
  };
  const [D, own] = [innerDim(transformer), innerDim(config)];
  if (own !== D) refuse("num_attention_heads · attention_head_dim", D, own);
  for (const key of ["in_channels", "joint_attention_dim", "pooled_projection_dim"] as const) {
    if (config[key] !== transformer[key]) refuse(key, transformer[key], config[key]);
  }
  for (const key of ["num_layers", "num_single_layers"] as const) {
    if (config[key] > transformer[key]) refuse(`${key} of at most`, transformer[key], config[key]);
  }
}
