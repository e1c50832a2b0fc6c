import type { Entry } from "./safetensors.ts";

/** What FLUX's transformer is made of. */
export interface FluxShape {
  in_channels: number;
  num_layers: number;
  num_single_layers: number;
  attention_head_dim: number;
  num_attention_heads: number;
  joint_attention_dim: number;
  pooled_projection_dim: number;
  guidance_embeds: boolean;
}

/** The weights of a FluxTransformer2DModel. */
export function* fluxParameters(config: FluxShape): Generator<Entry> {
  const { attention_head_dim: head, num_attention_heads, in_channels } = config;
  const D = head * num_attention_heads;
  const layer = (name: string, to: number, from: number): Entry[] => [
    [`${name}.weight`, [to, from]],
    [`${name}.bias`, [to]],
  ];
  const telling = {
    timestep_embedder: 256,
    ...config.guidance_embeds && { guidance_embedder: 256 },
    text_embedder: config.pooled_projection_dim,
  };
  for (const [name, from] of Object.entries(telling)) {
    yield* layer(`time_text_embed.${name}.linear_1`, D, from);
    yield* layer(`time_text_embed.${name}.linear_2`, D, D);
  }
  yield* layer("context_embedder", D, config.joint_attention_dim);
  yield* layer("x_embedder", D, in_channels);
  for (let i = 0; i < config.num_layers; i++) {
    const block = `transformer_blocks.${i}`;
    for (const part of ["norm1", "norm1_context"]) yield* layer(`${block}.${part}.linear`, 6 * D, D);
    for (const part of ["norm_q", "norm_k", "norm_added_q", "norm_added_k"]) {
      yield [`${block}.attn.${part}.weight`, [head]];
    }
    for (const part of ["to_q", "to_k", "to_v", "to_out.0"]) yield* layer(`${block}.attn.${part}`, D, D);
    for (const part of ["add_q_proj", "add_k_proj", "add_v_proj", "to_add_out"]) {
      yield* layer(`${block}.attn.${part}`, D, D);
    }
    for (const part of ["ff", "ff_context"]) {
      yield* layer(`${block}.${part}.net.0.proj`, 4 * D, D);
      yield* layer(`${block}.${part}.net.2`, D, 4 * D);
    }
  }
  for (let i = 0; i < config.num_single_layers; i++) {
    const block = `single_transformer_blocks.${i}`;
    yield* layer(`${block}.norm.linear`, 3 * D, D);
    yield* layer(`${block}.proj_mlp`, 4 * D, D);
    yield* layer(`${block}.proj_out`, D, 5 * D);
    for (const part of ["norm_q", "norm_k"]) yield [`${block}.attn.${part}.weight`, [head]];
    for (const part of ["to_q", "to_k", "to_v"]) yield* layer(`${block}.attn.${part}`, D, D);
  }
  yield* layer("norm_out.linear", 2 * D, D);
  yield* layer("proj_out", in_channels, D);
}
