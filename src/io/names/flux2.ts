import type { StoredTensor } from "../formats/stored_tensor.ts";
import { bflConfig, bflView } from "./flux.ts";
import { type Infos, renamed, shapeOf, type Stored } from "./keys.ts";
import { ldmVaeConfig, ldmVaeView } from "./ldm_vae.ts";

/**
 * Layers of a FLUX.2 transformer under the names of its own code (black-forest-labs/flux2, model.py), each with
 * diffusers' names, as in `FLUX_NAMES`. The fused matrices of single blocks are fused in diffusers too.
 */
export const FLUX2_NAMES: Readonly<Record<string, readonly string[]>> = {
  "img_in": ["x_embedder"],
  "txt_in": ["context_embedder"],
  "time_in.in_layer": ["time_guidance_embed.timestep_embedder.linear_1"],
  "time_in.out_layer": ["time_guidance_embed.timestep_embedder.linear_2"],
  "guidance_in.in_layer": ["time_guidance_embed.guidance_embedder.linear_1"],
  "guidance_in.out_layer": ["time_guidance_embed.guidance_embedder.linear_2"],
  "double_stream_modulation_img.lin": ["double_stream_modulation_img.linear"],
  "double_stream_modulation_txt.lin": ["double_stream_modulation_txt.linear"],
  "single_stream_modulation.lin": ["single_stream_modulation.linear"],
  "final_layer.linear": ["proj_out"],
  "final_layer.adaLN_modulation.1": ["norm_out.linear"],
  "double_blocks.N.img_attn.qkv": inAttention("to_q", "to_k", "to_v"),
  "double_blocks.N.img_attn.norm.query_norm": inAttention("norm_q"),
  "double_blocks.N.img_attn.norm.key_norm": inAttention("norm_k"),
  "double_blocks.N.img_attn.proj": inAttention("to_out.0"),
  "double_blocks.N.txt_attn.qkv": inAttention("add_q_proj", "add_k_proj", "add_v_proj"),
  "double_blocks.N.txt_attn.norm.query_norm": inAttention("norm_added_q"),
  "double_blocks.N.txt_attn.norm.key_norm": inAttention("norm_added_k"),
  "double_blocks.N.txt_attn.proj": inAttention("to_add_out"),
  "double_blocks.N.img_mlp.0": ["transformer_blocks.N.ff.linear_in"],
  "double_blocks.N.img_mlp.2": ["transformer_blocks.N.ff.linear_out"],
  "double_blocks.N.txt_mlp.0": ["transformer_blocks.N.ff_context.linear_in"],
  "double_blocks.N.txt_mlp.2": ["transformer_blocks.N.ff_context.linear_out"],
  "single_blocks.N.linear1": ["single_transformer_blocks.N.attn.to_qkv_mlp_proj"],
  "single_blocks.N.linear2": ["single_transformer_blocks.N.attn.to_out"],
  "single_blocks.N.norm.query_norm": ["single_transformer_blocks.N.attn.norm_q"],
  "single_blocks.N.norm.key_norm": ["single_transformer_blocks.N.attn.norm_k"],
};

function inAttention(...layers: readonly string[]): string[] {
  return layers.map((layer) => `transformer_blocks.N.attn.${layer}`);
}

const WHAT = "the transformer";

/** A Flux2Transformer2DModel's config, from keys and shapes; rope's axes share a head, as in all FLUX.2 models. */
export function bflFlux2Config(tensors: Infos, prefix: string): Record<string, unknown> {
  const shape = (key: string) => shapeOf(tensors, prefix + key, WHAT);
  const norm = "double_blocks.0.img_attn.norm.query_norm";
  const head = shape(tensors.has(`${prefix}${norm}.weight`) ? `${norm}.weight` : `${norm}.scale`)[0]!;
  return {
    _class_name: "Flux2Transformer2DModel",
    ...bflConfig(tensors, prefix, head),
    timestep_guidance_channels: shape("time_in.in_layer.weight")[1],
    mlp_ratio: shape("double_blocks.0.img_mlp.2.weight")[1]! / shape("img_in.weight")[0]!,
    axes_dims_rope: new Array(4).fill(head / 4),
  };
}

/** The tensors of a FLUX.2 transformer under diffusers' names. */
export function bflFlux2View(tensors: Stored, prefix: string): Map<string, StoredTensor> {
  return bflView(tensors, prefix, FLUX2_NAMES);
}

/** An AutoencoderKLFlux2's config, from keys and shapes. */
export function bflVaeConfig(tensors: Infos, prefix: string): Record<string, unknown> {
  const config = ldmVaeConfig(tensors, prefix);
  const widths = (config["block_out_channels"] as number[]).map((_, i) =>
    shapeOf(tensors, `${prefix}decoder.up.${i}.block.0.conv2.weight`, "the VAE")[0]
  );
  const has = (...keys: string[]) => keys.some((key) => tensors.has(prefix + key));
  return {
    ...config,
    _class_name: "AutoencoderKLFlux2",
    decoder_block_out_channels: String(widths) === String(config["block_out_channels"]) ? null : widths,
    use_quant_conv: has("quant_conv.weight", "encoder.quant_conv.weight"),
    use_post_quant_conv: has("post_quant_conv.weight", "decoder.post_quant_conv.weight"),
  };
}

/** The tensors of FLUX.2's autoencoder under diffusers' names: those of CompVis's, and the statistics of its latents. */
export function bflVaeView(tensors: Stored, prefix: string): Map<string, StoredTensor> {
  const coders = [...ldmVaeView(tensors, prefix)].map(([name, tensor]) => {
    const own = name.replace(/^(encoder|decoder)\.((post_)?quant_conv\.)/, "$2");
    return [own, { ...tensor, name: own }] as const;
  });
  return new Map([...coders, ...renamed(tensors, prefix, (key) => key.startsWith("bn.") ? key : undefined)]);
}
