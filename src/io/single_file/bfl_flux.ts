import type { StoredTensor } from "../stored_tensor.ts";
import { splitRows, swappedHalves } from "../stored_view.ts";
import { countOf, type Infos, renamed, shapeOf, type Stored, valueIn } from "./keys.ts";

/**
 * The transformer of FLUX under the names of its own code (black-forest-labs/flux, model.py), where q, k and v are rows
 * of one matrix, in single blocks together with the first layer behind them.
 */

const WHAT = "the transformer";

/** What the keys and shapes say of a FluxTransformer2DModel's config; rope's axes are those of all FLUX models. */
export function bflFluxConfig(tensors: Infos, prefix: string): Record<string, unknown> {
  const shape = (key: string) => shapeOf(tensors, prefix + key, WHAT);
  const [width, in_channels] = shape("img_in.weight");
  const [head] = shape("double_blocks.0.img_attn.norm.query_norm.scale");
  const [outputs] = shape("final_layer.linear.weight");
  return {
    _class_name: "FluxTransformer2DModel",
    patch_size: 1,
    in_channels,
    out_channels: outputs === in_channels ? null : outputs,
    num_layers: countOf(tensors, `${prefix}double_blocks.`),
    num_single_layers: countOf(tensors, `${prefix}single_blocks.`),
    attention_head_dim: head,
    num_attention_heads: width / head,
    joint_attention_dim: shape("txt_in.weight")[1],
    pooled_projection_dim: shape("vector_in.in_layer.weight")[1],
    guidance_embeds: tensors.has(`${prefix}guidance_in.in_layer.weight`),
    axes_dims_rope: [16, 56, 56],
  };
}

/** What stands before and behind the blocks. */
const EDGES: readonly (readonly [from: RegExp, to: string])[] = [
  [/^img_in\./, "x_embedder."],
  [/^txt_in\./, "context_embedder."],
  [/^time_in\./, "time_text_embed.timestep_embedder."],
  [/^vector_in\./, "time_text_embed.text_embedder."],
  [/^guidance_in\./, "time_text_embed.guidance_embedder."],
  [/\.in_layer\./, ".linear_1."],
  [/\.out_layer\./, ".linear_2."],
  [/^final_layer\.linear\./, "proj_out."],
];

/** Layers of a block for both streams; qkv is not among them. */
const DOUBLE: Record<string, string> = {
  "img_mod.lin": "norm1.linear",
  "txt_mod.lin": "norm1_context.linear",
  "img_attn.norm.query_norm": "attn.norm_q",
  "img_attn.norm.key_norm": "attn.norm_k",
  "txt_attn.norm.query_norm": "attn.norm_added_q",
  "txt_attn.norm.key_norm": "attn.norm_added_k",
  "img_attn.proj": "attn.to_out.0",
  "txt_attn.proj": "attn.to_add_out",
  "img_mlp.0": "ff.net.0.proj",
  "img_mlp.2": "ff.net.2",
  "txt_mlp.0": "ff_context.net.0.proj",
  "txt_mlp.2": "ff_context.net.2",
};

/** Layers of a block for the joined stream; linear1 is not among them. */
const SINGLE: Record<string, string> = {
  "modulation.lin": "norm.linear",
  "norm.query_norm": "attn.norm_q",
  "norm.key_norm": "attn.norm_k",
  "linear2": "proj_out",
};

/** The rows of fused layers, in their order. */
const QKV: Record<string, readonly string[]> = {
  "img_attn.qkv": ["attn.to_q", "attn.to_k", "attn.to_v"],
  "txt_attn.qkv": ["attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"],
  "linear1": ["attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"],
};

/** The tensors of a FLUX transformer under diffusers' names. */
export function bflFluxView(tensors: Stored, prefix: string): Map<string, StoredTensor> {
  const [width] = shapeOf(tensors, `${prefix}img_in.weight`, WHAT);
  return renamed(tensors, prefix, (key, tensor) => {
    const [, kind, number, layer, leaf] = /^(double|single)_blocks\.(\d+)\.(.+)\.(\w+)$/.exec(key) ?? [];
    if (!kind) return edge(key, tensor);
    const block = `${kind === "double" ? "" : "single_"}transformer_blocks.${number}.`;
    const last = leaf === "scale" ? "weight" : leaf;
    const names = valueIn(QKV, layer);
    if (names) {
      const sizes = names.map((name) => name === "proj_mlp" ? tensor.shape[0] - 3 * width : width);
      return splitRows(tensor, sizes).map((part, i) => ({ ...part, name: `${block}${names[i]}.${last}` }));
    }
    const name = valueIn(kind === "double" ? DOUBLE : SINGLE, layer);
    return `${block}${name ?? layer}.${last}`;
  });
}

/** The last norm's shift and scale come in the other order. */
function edge(key: string, tensor: StoredTensor): StoredTensor | string | undefined {
  const [, leaf] = /^final_layer\.adaLN_modulation\.1\.(\w+)$/.exec(key) ?? [];
  if (leaf) return { ...swappedHalves(tensor), name: `norm_out.linear.${leaf}` };
  const name = EDGES.reduce((text, [from, to]) => text.replace(from, to), key);
  return name === key ? undefined : name; // what else stands at the root is of other parts
}
