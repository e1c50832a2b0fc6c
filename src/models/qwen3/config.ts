import { z } from "zod";
import { absentIfNull, type ConfigSchema, flag, ignoredKey, positive, withCheck } from "../../io/config.ts";
import { type HiddenActName, hiddenActNames } from "../../nn/activations.ts";

/** Rotary angles of positions: `rope_parameters` of transformers 5, `rope_scaling` of version 4. */
export interface RopeParameters {
  /** "default", "linear" (angles divided by `factor`) or "yarn" (Peng et al. 2023). */
  rope_type?: "default" | "linear" | "yarn" | undefined;
  /** The older name of `rope_type`. */
  type?: "default" | "linear" | "yarn" | undefined;
  /** Base of the wavelengths. */
  rope_theta?: number | undefined;
  /** Length of texts relative to those of training. */
  factor?: number | undefined;
  /** YaRN: tokens of the longest text in training; by default `max_position_embeddings`. */
  original_max_position_embeddings?: number | undefined;
  /** YaRN: factor on cosines and sines; by default it follows from `factor`, `mscale` and `mscale_all_dim`. */
  attention_factor?: number | undefined;
  /** YaRN: rotations in a text from which on angles stay as they are, 32 by default. */
  beta_fast?: number | undefined;
  /** YaRN: rotations in a text up to which angles are divided, 1 by default. */
  beta_slow?: number | undefined;
  /** YaRN: see `attention_factor`. */
  mscale?: number | undefined;
  /** YaRN: see `attention_factor`. */
  mscale_all_dim?: number | undefined;
  /** YaRN: the two limits are rounded to whole dimensions, as they are by default. */
  truncate?: boolean | undefined;
}

/** A Qwen3 model's config: the keys of its config.json, as transformers 4 and 5 write it. */
export interface Qwen3Config {
  /** Rows of the table of tokens. */
  vocab_size: number;
  /** Width D of a token's state. */
  hidden_size: number;
  /** Width between the dense layers of a block. */
  intermediate_size: number;
  /** Blocks of attention and dense layers. */
  num_hidden_layers: number;
  /** Heads of queries. */
  num_attention_heads: number;
  /** Heads of keys and values, a divisor of the heads of queries; null: as many as these. */
  num_key_value_heads: number | null;
  /** Width of a head, whatever D is. */
  head_dim: number;
  /** The activation function of the gate. */
  hidden_act: HiddenActName;
  /** Tokens that a text may have at most. */
  max_position_embeddings: number;
  /** Added to mean squares. */
  rms_norm_eps: number;
  /** The projections of attention have biases. */
  attention_bias: boolean;
  /** Base of the wavelengths of positions, in configs of transformers 4. */
  rope_theta?: number | undefined;
  /** Angles of positions, in configs of transformers 4. */
  rope_scaling?: RopeParameters | undefined;
  /** Angles of positions, in configs of transformers 5. */
  rope_parameters?: RopeParameters | undefined;
  /** Blocks from `max_window_layers` on see only the `sliding_window` last tokens. */
  use_sliding_window: boolean;
  /** Tokens that a query of such a block sees, itself among them. */
  sliding_window?: number | undefined;
  /** Blocks in front of those. */
  max_window_layers: number;
  /** Kind of attention of each block, where `max_window_layers` does not say it. */
  layer_types?: ("full_attention" | "sliding_attention")[] | undefined;
}

const ropeTypes = absentIfNull(z.enum(["default", "linear", "yarn"]).optional());
const above0 = absentIfNull(z.number().positive().optional());
const rope = absentIfNull(
  z.looseObject({
    rope_type: ropeTypes,
    type: ropeTypes,
    rope_theta: above0,
    factor: absentIfNull(z.number().min(1).optional()),
    original_max_position_embeddings: above0,
    attention_factor: above0,
    beta_fast: above0,
    beta_slow: above0,
    mscale: absentIfNull(z.number().nonnegative().optional()),
    mscale_all_dim: absentIfNull(z.number().nonnegative().optional()),
    truncate: absentIfNull(z.boolean().optional()),
    partial_rotary_factor: absentIfNull(z.literal(1).optional()),
  }).optional(),
);

const keys = z.looseObject({
  vocab_size: positive.default(151936),
  hidden_size: positive.default(4096),
  intermediate_size: positive.default(22016),
  num_hidden_layers: positive.default(32),
  num_attention_heads: positive.default(32),
  num_key_value_heads: positive.nullable().default(32),
  head_dim: positive.default(128),
  hidden_act: z.enum(hiddenActNames).default("silu"),
  max_position_embeddings: positive.default(32768),
  rms_norm_eps: z.number().nonnegative().default(1e-6),
  attention_bias: flag(false),
  rope_theta: above0,
  rope_scaling: rope,
  rope_parameters: rope,
  use_sliding_window: flag(false),
  sliding_window: absentIfNull(positive.optional()),
  max_window_layers: z.int().nonnegative().default(28),
  layer_types: absentIfNull(z.array(z.enum(["full_attention", "sliding_attention"])).optional()),
  model_type: absentIfNull(z.literal("qwen3").default("qwen3")),
  architectures: ignoredKey,
  transformers_version: ignoredKey,
  torch_dtype: ignoredKey,
  dtype: ignoredKey,
  attention_dropout: ignoredKey,
  initializer_range: ignoredKey,
  use_cache: ignoredKey,
  tie_word_embeddings: ignoredKey, // nothing here reads lm_head
  bos_token_id: ignoredKey,
  pad_token_id: ignoredKey,
  eos_token_id: ignoredKey,
});

/** Checks a Qwen3 model's config and fills in transformers' defaults. */
export const qwen3Config: ConfigSchema<Qwen3Config> = withCheck(keys, (config, expect) => {
  const { num_attention_heads: heads, num_key_value_heads, head_dim, layer_types: types } = config;
  if (heads % (num_key_value_heads ?? heads) !== 0) {
    expect("num_key_value_heads", `a divisor of num_attention_heads, which is ${heads}`);
  }
  if (head_dim % 2 !== 0) expect("head_dim", "even, as positions turn pairs of values");
  if (types && types.length !== config.num_hidden_layers) {
    expect("layer_types", `${config.num_hidden_layers} names, as many as num_hidden_layers`);
  }
  if (types?.includes("sliding_attention") && windowOf(config) === undefined) {
    expect(
      "sliding_window",
      'a number beside use_sliding_window true, as layer_types has "sliding_attention"',
    );
  }
  const { rope_type, factor } = ropeOf(config);
  if (rope_type !== "default" && factor === undefined) {
    expect(
      config.rope_scaling ? "rope_scaling" : "rope_parameters",
      `an object with a factor for ${rope_type}`,
    );
  }
});

/** Tokens that a query of a sliding block sees; undefined where no block is one. */
export function windowOf({ use_sliding_window, sliding_window }: Qwen3Config): number | undefined {
  return use_sliding_window ? sliding_window : undefined;
}

/** True if block `i` sees the last tokens only. */
export function isSliding(config: Qwen3Config, i: number): boolean {
  if (windowOf(config) === undefined) return false;
  return config.layer_types ? config.layer_types[i] === "sliding_attention" : i >= config.max_window_layers;
}

/** The angles of positions with their defaults. */
interface Rope extends RopeParameters {
  rope_type: "default" | "linear" | "yarn";
  rope_theta: number;
}

/** The angles of positions, wherever the config says them. */
export function ropeOf(config: Qwen3Config): Rope {
  const given = config.rope_scaling ?? config.rope_parameters ?? {};
  return {
    ...given,
    rope_type: given.rope_type ?? given.type ?? "default",
    rope_theta: given.rope_theta ?? config.rope_theta ?? 10000,
  };
}
