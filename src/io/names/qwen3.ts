import type { Shape } from "../../core/shape.ts";
import type { StoredTensor } from "../formats/stored_tensor.ts";
import { countOf, type Infos, renamed, shapeOf, type Stored, valueIn } from "./keys.ts";

/** Qwen3, which single files hold under transformers' names, and GGUF files under llama.cpp's. */

const WHAT = "Qwen3";

/** Parts of a layer: llama.cpp's names and transformers'. */
const LAYER: Record<string, string> = {
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  attn_q_norm: "self_attn.q_norm",
  attn_k_norm: "self_attn.k_norm",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
};

/** A key in transformers' names of a Qwen3Model. */
function plainKey(key: string): string {
  if (key === "token_embd.weight") return "embed_tokens.weight";
  if (key === "output_norm.weight") return "norm.weight";
  const [, layer, part, kind] = /^blk\.(\d+)\.(\w+)\.(weight|bias)$/.exec(key) ?? [];
  const name = valueIn(LAYER, part!);
  return name ? `layers.${layer}.${name}.${kind}` : key.replace(/^model\./, "");
}

/** The tensors of a Qwen3Model, without the head of a Qwen3ForCausalLM. */
export function qwen3View(tensors: Stored, prefix: string): Map<string, StoredTensor> {
  return renamed(tensors, prefix, (key) => {
    const name = plainKey(key);
    return /^(embed_tokens|layers|norm)\./.test(name) ? name : undefined;
  });
}

/**
 * A Qwen3Model's config, from keys and shapes. These do not tell the base of positions' wavelengths: it is that of every
 * Qwen3.
 */
export function qwen3Config(tensors: Infos, prefix: string): Record<string, unknown> {
  const plain = new Map(
    [...tensors].flatMap(([key, info]) =>
      key.startsWith(prefix) ? [[plainKey(key.slice(prefix.length)), info] as const] : []
    ),
  );
  const shape = (key: string) => shapeOf(plain, key, WHAT);
  const [vocab_size, hidden_size] = shape("embed_tokens.weight") as Shape<2>;
  const [head_dim] = shape("layers.0.self_attn.q_norm.weight") as Shape<1>;
  const heads = (name: string) => shape(`layers.0.self_attn.${name}.weight`)[0]! / head_dim;
  return {
    vocab_size,
    hidden_size,
    intermediate_size: shape("layers.0.mlp.gate_proj.weight")[0],
    num_hidden_layers: countOf(plain, "layers."),
    num_attention_heads: heads("q_proj"),
    num_key_value_heads: heads("k_proj"),
    head_dim,
    attention_bias: plain.has("layers.0.self_attn.q_proj.bias"),
    max_position_embeddings: 40960,
    rope_theta: 1_000_000,
  };
}
