/**
 * The layers of a FLUX transformer under the names of its own code (black-forest-labs/flux, model.py), each
 * with diffusers' names of what it is made of, in the order of its rows; N is the number of a block. The last
 * of a fused layer's parts may be wider than the others.
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

/** Of this layer diffusers has the halves, scale and shift, in the other order. */
export const SWAPPED = "final_layer.adaLN_modulation.1";

function below(front: string, parts: readonly string[]): string[] {
  return parts.map((part) => front + part);
}
