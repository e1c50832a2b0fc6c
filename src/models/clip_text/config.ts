import { z } from "zod";
import { absentIfNull, type ConfigSchema, ignoredKey, positive, withCheck } from "../../io/config.ts";
import { type HiddenActName, hiddenActNames } from "../../nn/activations.ts";

/** A CLIP text model's config: the keys of its config.json, of which older files lack some. */
export interface CLIPTextConfig {
  /** Rows of the table of tokens. */
  vocab_size: number;
  /** Width D of a token's state. */
  hidden_size: number;
  /** Width of the layer between the two dense layers of a block. */
  intermediate_size: number;
  /** Width of `textEmbeds`. */
  projection_dim: number;
  /** Blocks of attention and dense layers. */
  num_hidden_layers: number;
  /** Heads of attention. */
  num_attention_heads: number;
  /** Tokens that a text may have at most. */
  max_position_embeddings: number;
  /** The activation function. */
  hidden_act: HiddenActName;
  /** Added to variances. */
  layer_norm_eps: number;
  /**
   * Token whose state stands for the text. 2, as old files have it, means the token of the highest number.
   */
  eos_token_id: number;
}

const keys = z.looseObject({
  vocab_size: positive.default(49408),
  hidden_size: positive.default(512),
  intermediate_size: positive.default(2048),
  projection_dim: absentIfNull(positive.default(512)),
  num_hidden_layers: positive.default(12),
  num_attention_heads: positive.default(8),
  max_position_embeddings: positive.default(77),
  hidden_act: z.enum(hiddenActNames).default("quick_gelu"),
  layer_norm_eps: z.number().nonnegative().default(1e-5),
  eos_token_id: z.int().default(49407),
  architectures: ignoredKey,
  model_type: absentIfNull(z.enum(["clip_text_model", "clip"]).default("clip_text_model")),
  transformers_version: ignoredKey,
  torch_dtype: ignoredKey,
  dtype: ignoredKey,
  dropout: ignoredKey,
  attention_dropout: ignoredKey,
  initializer_factor: ignoredKey,
  initializer_range: ignoredKey,
  bos_token_id: ignoredKey,
  pad_token_id: ignoredKey,
});

/** Checks a CLIP text model's config and fills in transformers' defaults. */
export const clipTextConfig: ConfigSchema<CLIPTextConfig> = withCheck(keys, (config, expect) => {
  if (config.hidden_size % config.num_attention_heads === 0) return;
  expect("num_attention_heads", `a divisor of hidden_size, which is ${config.hidden_size}`);
});
