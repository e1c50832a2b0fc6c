import { z } from "zod";
import { absentIfNull, type ConfigSchema, flag, ignoredKey, positive, withCheck } from "../../io/config.ts";
import { type HiddenActName, hiddenActNames } from "../../nn/activations.ts";
import { expectVisionSizes } from "../clip_vision/config.ts";

/** A SigLIP vision model's config: the keys of its config.json, of which files may lack some. */
export interface SiglipVisionConfig {
  /** Width D of a token's state. */
  hidden_size: number;
  /** Width of the layer between the two dense layers of a block. */
  intermediate_size: number;
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
  /** It has a head that makes one vector of all tokens. */
  vision_use_head: boolean;
}

const keys = z.looseObject({
  hidden_size: positive.default(768),
  intermediate_size: positive.default(3072),
  num_hidden_layers: positive.default(12),
  num_attention_heads: positive.default(12),
  num_channels: positive.default(3),
  image_size: positive.default(224),
  patch_size: positive.default(16),
  hidden_act: z.enum(hiddenActNames).default("gelu_pytorch_tanh"),
  layer_norm_eps: z.number().nonnegative().default(1e-6),
  vision_use_head: flag(true),
  model_type: absentIfNull(z.enum(["siglip_vision_model", "siglip"]).default("siglip_vision_model")),
  attention_dropout: ignoredKey,
});

/** Checks a SigLIP vision model's config and fills in transformers' defaults. */
export const siglipVisionConfig: ConfigSchema<SiglipVisionConfig> = withCheck(keys, expectVisionSizes);
