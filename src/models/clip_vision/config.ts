import { z } from "zod";
import { absentIfNull, type ConfigSchema, ignoredKey, positive, withCheck } from "../../io/config.ts";
import { type HiddenActName, hiddenActNames } from "../../nn/activations.ts";

/** A CLIP vision model's config: the keys of its config.json, of which older files lack some. */
export interface CLIPVisionConfig {
  /** Width D of a token's state. */
  hidden_size: number;
  /** Width of the layer between the two dense layers of a block. */
  intermediate_size: number;
  /** Width of `imageEmbeds`. */
  projection_dim: number;
  /** Blocks of attention and dense layers. */
  num_hidden_layers: number;
  /** Heads of attention. */
  num_attention_heads: number;
  /** Channels of pictures. */
  num_channels: number;
  /** Side of pictures in pixels. */
  image_size: number;
  /** Side in pixels of the patch that a token stands for. */
  patch_size: number;
  /** The activation function. */
  hidden_act: HiddenActName;
  /** Added to variances. */
  layer_norm_eps: number;
}

const keys = z.looseObject({
  hidden_size: positive.default(768),
  intermediate_size: positive.default(3072),
  projection_dim: absentIfNull(positive.default(512)),
  num_hidden_layers: positive.default(12),
  num_attention_heads: positive.default(12),
  num_channels: positive.default(3),
  image_size: positive.default(224),
  patch_size: positive.default(32),
  hidden_act: z.enum(hiddenActNames).default("quick_gelu"),
  layer_norm_eps: z.number().nonnegative().default(1e-5),
  architectures: ignoredKey,
  model_type: absentIfNull(z.enum(["clip_vision_model", "clip"]).default("clip_vision_model")),
  transformers_version: ignoredKey,
  torch_dtype: ignoredKey,
  dtype: ignoredKey,
  dropout: ignoredKey,
  attention_dropout: ignoredKey,
  initializer_factor: ignoredKey,
  initializer_range: ignoredKey,
});

/** Checks a CLIP vision model's config and fills in transformers' defaults. */
export const clipVisionConfig: ConfigSchema<CLIPVisionConfig> = withCheck(keys, expectVisionSizes);

/** Says what of a vision transformer's sizes does not go together. */
export function expectVisionSizes(
  config: Pick<CLIPVisionConfig, "hidden_size" | "num_attention_heads" | "patch_size" | "image_size">,
  expect: (key: "num_attention_heads" | "patch_size", expected: string) => void,
): void {
  if (config.hidden_size % config.num_attention_heads !== 0) {
    expect("num_attention_heads", `a divisor of hidden_size, which is ${config.hidden_size}`);
  }
  if (config.patch_size > config.image_size) {
    expect("patch_size", `at most image_size, which is ${config.image_size}`);
  }
}
