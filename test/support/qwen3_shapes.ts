import type { Shapes } from "./flux_dev_shapes.ts";

/** Keys of the config.json of Qwen3-4B, the text encoder of FLUX.2 klein 4B and of Z-Image. */
export const qwen3Config = {
  architectures: ["Qwen3ForCausalLM"],
  attention_bias: false,
  head_dim: 128,
  hidden_act: "silu",
  hidden_size: 2560,
  intermediate_size: 9728,
  max_position_embeddings: 40960,
  max_window_layers: 36,
  model_type: "qwen3",
  num_attention_heads: 32,
  num_hidden_layers: 36,
  num_key_value_heads: 8,
  rms_norm_eps: 1e-6,
  rope_scaling: null,
  rope_theta: 1000000,
  sliding_window: null,
  tie_word_embeddings: true,
  torch_dtype: "bfloat16",
  use_sliding_window: false,
  vocab_size: 151936,
};

/** Shapes of a Qwen3ForCausalLM whose head is its table of tokens. */
export function qwen3Shapes(config: typeof qwen3Config): Shapes {
  const { hidden_size: D, intermediate_size, head_dim, num_attention_heads, num_key_value_heads } = config;
  const shapes: Shapes = { "model.embed_tokens.weight": [config.vocab_size, D], "model.norm.weight": [D] };
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const layer = `model.layers.${i}`;
    for (const norm of ["input_layernorm", "post_attention_layernorm"]) {
      shapes[`${layer}.${norm}.weight`] = [D];
    }
    for (const norm of ["q_norm", "k_norm"]) shapes[`${layer}.self_attn.${norm}.weight`] = [head_dim];
    for (
      const [name, heads] of [["q", num_attention_heads], ["k", num_key_value_heads], [
        "v",
        num_key_value_heads,
      ]]
    ) {
      shapes[`${layer}.self_attn.${name}_proj.weight`] = [heads as number * head_dim, D];
    }
    shapes[`${layer}.self_attn.o_proj.weight`] = [D, num_attention_heads * head_dim];
    for (const name of ["gate", "up"]) shapes[`${layer}.mlp.${name}_proj.weight`] = [intermediate_size, D];
    shapes[`${layer}.mlp.down_proj.weight`] = [D, intermediate_size];
  }
  return shapes;
}
