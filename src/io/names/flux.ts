import type { Shape } from "../../core/shape.ts";
import type { StoredTensor } from "../formats/stored_tensor.ts";
import { splitRows, swappedHalves } from "../formats/stored_view.ts";
import { countOf, type Infos, renamed, shapeOf, type Stored, valueIn } from "./keys.ts";

/**
 * Layers of a FLUX transformer under the names of its own code (black-forest-labs/flux, model.py), each with
 * diffusers' names: several where it is a fused matrix, in the order of their rows. N is the number of a
 * block. The last part of a fused matrix may be wider than the others.
 */
export const FLUX_NAMES: Readonly<Record<string, readonly string[]>> = {
  "img_in": ["x_embedder"],
  "txt_in": ["context_embedder"],
  "time_in.in_layer": ["time_text_embed.timestep_embedder.linear_1"],
  "time_in.out_layer": ["time_text_embed.timestep_embedder.linear_2"],
  "vector_in.in_layer": ["time_text_embed.text_embedder.linear_1"],
  "vector_in.out_layer": ["time_text_embed.text_embedder.linear_2"],
  "guidance_in.in_layer": ["time_text_embed.guidance_embedder.linear_1"],
  "guidance_in.out_layer": ["time_text_embed.guidance_embedder.linear_2"],
  "final_layer.linear": ["proj_out"],
  "final_layer.adaLN_modulation.1": ["norm_out.linear"],
  "double_blocks.N.img_mod.lin": ["transformer_blocks.N.norm1.linear"],
  "double_blocks.N.txt_mod.lin": ["transformer_blocks.N.norm1_context.linear"],
  "double_blocks.N.img_attn.qkv": below("transformer_blocks.N.attn.", ["to_q", "to_k", "to_v"]),
  "double_blocks.N.img_attn.norm.query_norm": ["transformer_blocks.N.attn.norm_q"],
  "double_blocks.N.img_attn.norm.key_norm": ["transformer_blocks.N.attn.norm_k"],
  "double_blocks.N.img_attn.proj": ["transformer_blocks.N.attn.to_out.0"],
  "double_blocks.N.txt_attn.qkv": below("transformer_blocks.N.attn.", [
    "add_q_proj",
    "add_k_proj",
    "add_v_proj",
  ]),
  "double_blocks.N.txt_attn.norm.query_norm": ["transformer_blocks.N.attn.norm_added_q"],
  "double_blocks.N.txt_attn.norm.key_norm": ["transformer_blocks.N.attn.norm_added_k"],
  "double_blocks.N.txt_attn.proj": ["transformer_blocks.N.attn.to_add_out"],
  "double_blocks.N.img_mlp.0": ["transformer_blocks.N.ff.net.0.proj"],
  "double_blocks.N.img_mlp.2": ["transformer_blocks.N.ff.net.2"],
  "double_blocks.N.txt_mlp.0": ["transformer_blocks.N.ff_context.net.0.proj"],
  "double_blocks.N.txt_mlp.2": ["transformer_blocks.N.ff_context.net.2"],
  "single_blocks.N.modulation.lin": ["single_transformer_blocks.N.norm.linear"],
  "single_blocks.N.linear1": below("single_transformer_blocks.N.", [
    "attn.to_q",
    "attn.to_k",
    "attn.to_v",
    "proj_mlp",
  ]),
  "single_blocks.N.norm.query_norm": ["single_transformer_blocks.N.attn.norm_q"],
  "single_blocks.N.norm.key_norm": ["single_transformer_blocks.N.attn.norm_k"],
  "single_blocks.N.linear2": ["single_transformer_blocks.N.proj_out"],
};

/** diffusers has the two halves of this layer's rows, shift and scale, in the other order. */
export const SWAPPED = "final_layer.adaLN_modulation.1";

function below(front: string, parts: readonly string[]): string[] {
  return parts.map((part) => front + part);
}

/**
 * The same by xlabs' names, as `processor.qkv_lora1` of a double block, where 1 stands for the picture and 2
 * for the text. Of the fused matrix of a single block xlabs has q, k and v only.
 */
export const XLABS_NAMES: Readonly<Record<string, readonly string[]>> = {
  "double_blocks.N.qkv1": FLUX_NAMES["double_blocks.N.img_attn.qkv"]!,
  "double_blocks.N.qkv2": FLUX_NAMES["double_blocks.N.txt_attn.qkv"]!,
  "double_blocks.N.proj1": FLUX_NAMES["double_blocks.N.img_attn.proj"]!,
  "double_blocks.N.proj2": FLUX_NAMES["double_blocks.N.txt_attn.proj"]!,
  "single_blocks.N.qkv": FLUX_NAMES["single_blocks.N.linear1"]!.slice(0, 3),
  "single_blocks.N.proj": FLUX_NAMES["single_blocks.N.linear2"]!,
};

const WHAT = "the transformer";

/** Config keys that FLUX.1 and FLUX.2 share, from keys and shapes; `head` is the width of a head. */
export function bflConfig(tensors: Infos, prefix: string, head: number): Record<string, unknown> {
  const shape = (key: string) => shapeOf(tensors, prefix + key, WHAT);
  const [width, in_channels] = shape("img_in.weight") as Shape<2>;
  const [outputs] = shape("final_layer.linear.weight");
  return {
    patch_size: 1,
    in_channels,
    out_channels: outputs === in_channels ? null : outputs,
    num_layers: countOf(tensors, `${prefix}double_blocks.`),
    num_single_layers: countOf(tensors, `${prefix}single_blocks.`),
    attention_head_dim: head,
    num_attention_heads: width / head,
    joint_attention_dim: shape("txt_in.weight")[1],
    guidance_embeds: tensors.has(`${prefix}guidance_in.in_layer.weight`),
  };
}

/** A FluxTransformer2DModel's config, from keys and shapes; rope's axes are those of all FLUX models. */
export function bflFluxConfig(tensors: Infos, prefix: string): Record<string, unknown> {
  const shape = (key: string) => shapeOf(tensors, prefix + key, WHAT);
  const head = shape("double_blocks.0.img_attn.norm.query_norm.scale")[0]!;
  return {
    _class_name: "FluxTransformer2DModel",
    ...bflConfig(tensors, prefix, head),
    pooled_projection_dim: shape("vector_in.in_layer.weight")[1],
    axes_dims_rope: [16, 56, 56],
  };
}

/** The tensors of a FLUX transformer under diffusers' names. */
export function bflFluxView(tensors: Stored, prefix: string): Map<string, StoredTensor> {
  return bflView(tensors, prefix, FLUX_NAMES);
}

/** The same by the table of one of Black Forest Labs' models. */
export function bflView(
  tensors: Stored,
  prefix: string,
  table: Readonly<Record<string, readonly string[]>>,
): Map<string, StoredTensor> {
  const width = shapeOf(tensors, `${prefix}img_in.weight`, WHAT)[0]!;
  return renamed(tensors, prefix, (key, tensor) => {
    const [, block, number = "", layer, leaf] =
      /^((?:double|single)_blocks\.(\d+)\.)?(.+)\.(\w+)$/.exec(key) ?? [];
    const row = block ? block.replace(number, "N") + layer! : layer!;
    const parts = valueIn(table, row);
    if (!parts) return block && key; // in a block it is reported as not read; at the root it belongs to other parts
    const last = leaf === "scale" ? "weight" : leaf;
    const names = parts.map((part) => `${part.replace(".N.", `.${number}.`)}.${last}`);
    if (row === SWAPPED) return { ...swappedHalves(tensor), name: names[0]! };
    if (names.length === 1) return names[0];
    const sizes = names.map((_, i) => i < 3 ? width : tensor.shape[0]! - 3 * width); // q, k, v, and the layer behind
    return splitRows(tensor, sizes).map((part, i) => ({ ...part, name: names[i]! }));
  });
}
