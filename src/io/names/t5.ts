import type { Shape } from "../../core/shape.ts";
import type { StoredTensor } from "../formats/stored_tensor.ts";
import { countOf, type Infos, renamed, shapeOf, type Stored, valueIn } from "./keys.ts";

/** T5's encoder, which single files hold under transformers' names, and GGUF files under llama.cpp's. */

const WHAT = "the T5 encoder";

/** Layers of a block: llama.cpp's names and transformers'. */
const BLOCK: Record<string, string> = {
  attn_norm: "layer.0.layer_norm",
  attn_q: "layer.0.SelfAttention.q",
  attn_k: "layer.0.SelfAttention.k",
  attn_v: "layer.0.SelfAttention.v",
  attn_o: "layer.0.SelfAttention.o",
  attn_rel_b: "layer.0.SelfAttention.relative_attention_bias",
  ffn_norm: "layer.1.layer_norm",
  ffn_gate: "layer.1.DenseReluDense.wi_0",
  ffn_up: "layer.1.DenseReluDense.wi_1",
  ffn_down: "layer.1.DenseReluDense.wo",
};

/** A key in transformers' names. */
function plainKey(key: string): string {
  if (key === "token_embd.weight") return "shared.weight";
  if (key === "enc.output_norm.weight") return "encoder.final_layer_norm.weight";
  const [, block, layer] = /^enc\.blk\.(\d+)\.(\w+)\.weight$/.exec(key) ?? [];
  const name = valueIn(BLOCK, layer!);
  return name ? `encoder.block.${block}.${name}.weight` : key;
}

/** The tensors of T5's encoder, with the table of tokens once. */
export function t5View(tensors: Stored, prefix: string): Map<string, StoredTensor> {
  const views = renamed(tensors, prefix, (key) => {
    const name = plainKey(key);
    return /^(shared|encoder)\./.test(name) ? name : undefined;
  });
  if (views.has("shared.weight")) views.delete("encoder.embed_tokens.weight");
  return views;
}

/** A T5EncoderModel's config, from keys and shapes. */
export function t5Config(tensors: Infos, prefix: string): Record<string, unknown> {
  const plain = new Map([...tensors].map(([key, info]) => [
    key.startsWith(prefix) ? prefix + plainKey(key.slice(prefix.length)) : key,
    info,
  ]));
  const shape = (key: string) => shapeOf(plain, prefix + key, WHAT);
  const words = plain.has(`${prefix}shared.weight`) ? "shared.weight" : "encoder.embed_tokens.weight";
  const [vocab_size, d_model] = shape(words);
  const [buckets, num_heads] = shape(
    "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
  ) as Shape<2>;
  const gated = plain.has(`${prefix}encoder.block.0.layer.1.DenseReluDense.wi_0.weight`);
  return {
    vocab_size,
    d_model,
    num_heads,
    d_kv: shape("encoder.block.0.layer.0.SelfAttention.q.weight")[0]! / num_heads,
    d_ff: shape(`encoder.block.0.layer.1.DenseReluDense.${gated ? "wi_0" : "wi"}.weight`)[0],
    num_layers: countOf(plain, `${prefix}encoder.block.`),
    relative_attention_num_buckets: buckets,
    feed_forward_proj: gated ? "gated-gelu" : "relu",
  };
}
