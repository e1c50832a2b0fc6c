import { z } from "zod";
import { absentIfNull, type ConfigSchema, ignoredKey, positive, withCheck } from "../../io/config.ts";
import { type HiddenActName, hiddenActNames } from "../../nn/activations.ts";

/** A T5 encoder's config: the keys of its config.json, of which older files lack some. */
export interface T5EncoderConfig {
  /** Rows of the table of tokens. */
  vocab_size: number;
  /** Width D of a token's state. */
  d_model: number;
  /** Width of a head of attention, whatever D is. */
  d_kv: number;
  /** Width between the dense layers of a block. */
  d_ff: number;
  /** Blocks of attention and dense layers. */
  num_layers: number;
  /** Heads of attention. */
  num_heads: number;
  /** Values a head that are learned for distances between tokens. */
  relative_attention_num_buckets: number;
  /** Distance from which on all are alike. */
  relative_attention_max_distance: number;
  /** Added to mean squares. */
  layer_norm_epsilon: number;
  /** The activation function, and "gated-" where it gates: "relu" of T5, "gated-gelu" of T5 1.1. */
  feed_forward_proj: string;
  /** The activation function where `feed_forward_proj` does not decide it. */
  dense_act_fn?: HiddenActName | undefined;
  /** The activation gates, where `feed_forward_proj` does not decide it. */
  is_gated_act?: boolean | undefined;
}

const GATED = "gated-";
const feedForwards = hiddenActNames.flatMap((name) => [name, `${GATED}${name}`]);

const keys = z.looseObject({
  vocab_size: positive.default(32128),
  d_model: positive.default(512),
  d_kv: positive.default(64),
  d_ff: positive.default(2048),
  num_layers: positive.default(6),
  num_heads: positive.default(8),
  relative_attention_num_buckets: z.int().min(4).default(32),
  relative_attention_max_distance: positive.default(128),
  layer_norm_epsilon: z.number().nonnegative().default(1e-6),
  feed_forward_proj: z.enum(feedForwards).default("relu"),
  dense_act_fn: z.enum(hiddenActNames).optional(),
  is_gated_act: z.boolean().nullish().transform((gated) => gated === null ? false : gated),
  model_type: absentIfNull(z.literal("t5").default("t5")),
  is_decoder: z.literal(false).default(false),
  architectures: ignoredKey,
  transformers_version: ignoredKey,
  torch_dtype: ignoredKey,
  dtype: ignoredKey,
  dropout_rate: ignoredKey,
  classifier_dropout: ignoredKey,
  initializer_factor: ignoredKey,
  is_encoder_decoder: ignoredKey,
  num_decoder_layers: ignoredKey,
  decoder_start_token_id: ignoredKey,
  pad_token_id: ignoredKey,
  eos_token_id: ignoredKey,
  use_cache: ignoredKey,
  output_past: ignoredKey,
  n_positions: ignoredKey,
  tie_word_embeddings: ignoredKey,
  scale_decoder_outputs: ignoredKey,
  task_specific_params: ignoredKey,
});

/** Checks a T5 encoder's config and fills in transformers' defaults. */
export const t5EncoderConfig: ConfigSchema<T5EncoderConfig> = withCheck(keys, (config, expect) => {
  const exact = Math.floor(Math.floor(config.relative_attention_num_buckets / 2) / 2);
  if (config.relative_attention_max_distance > exact) return;
  expect(
    "relative_attention_max_distance",
    `more than ${exact}, a quarter of relative_attention_num_buckets`,
  );
});

/** The activation function of the dense layers, and whether it gates. */
export function feedForwardOf(config: T5EncoderConfig): { act: HiddenActName; gated: boolean } {
  const { feed_forward_proj } = config;
  const gated = feed_forward_proj.startsWith(GATED);
  const name = feed_forward_proj.slice(gated ? GATED.length : 0) as HiddenActName;
  const act = gated && name === "gelu" ? "gelu_new" : name; // which the authors of T5 1.1 meant
  return { act: config.dense_act_fn ?? act, gated: config.is_gated_act ?? gated };
}
