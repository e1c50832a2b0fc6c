import type { Entry } from "./safetensors.ts";

/** What a CLIP text model is made of. */
export interface CLIPTextShape {
  vocab_size: number;
  max_position_embeddings: number;
  hidden_size: number;
  intermediate_size: number;
  num_hidden_layers: number;
  /** Of the pooled prompt's embedding, in models with a projection. */
  projection_dim?: number | undefined;
}

/** The weights of a CLIPTextModel, and of a CLIPTextModelWithProjection where `projection` is true. */
export function* clipTextParameters(config: CLIPTextShape, projection = false): Generator<Entry> {
  const { hidden_size: D, intermediate_size, projection_dim = D } = config;
  const layer = (name: string, to: number, ...from: number[]): Entry[] => [
    [`text_model.${name}.weight`, [to, ...from]],
    [`text_model.${name}.bias`, [to]],
  ];
  yield ["text_model.embeddings.token_embedding.weight", [config.vocab_size, D]];
  yield ["text_model.embeddings.position_embedding.weight", [config.max_position_embeddings, D]];
  for (let i = 0; i < config.num_hidden_layers; i++) {
    const block = `encoder.layers.${i}`;
    for (const part of ["q_proj", "k_proj", "v_proj", "out_proj"]) {
      yield* layer(`${block}.self_attn.${part}`, D, D);
    }
    yield* layer(`${block}.layer_norm1`, D);
    yield* layer(`${block}.mlp.fc1`, intermediate_size, D);
    yield* layer(`${block}.mlp.fc2`, D, intermediate_size);
    yield* layer(`${block}.layer_norm2`, D);
  }
  yield* layer("final_layer_norm", D);
  if (projection) yield ["text_projection.weight", [projection_dim, D]];
}

/** What a T5 encoder is made of. */
export interface T5Shape {
  vocab_size: number;
  d_model: number;
  d_kv: number;
  d_ff: number;
  num_layers: number;
  num_heads: number;
  relative_attention_num_buckets: number;
}

/** The weights of a T5EncoderModel with gated feed-forwards. */
export function* t5Parameters(config: T5Shape): Generator<Entry> {
  const { d_model: D, d_ff, num_heads } = config;
  const width = num_heads * config.d_kv;
  yield ["shared.weight", [config.vocab_size, D]];
  for (let i = 0; i < config.num_layers; i++) {
    const block = `encoder.block.${i}.layer`;
    for (const part of ["q", "k", "v"]) yield [`${block}.0.SelfAttention.${part}.weight`, [width, D]];
    yield [`${block}.0.SelfAttention.o.weight`, [D, width]];
    if (i === 0) {
      const shape = [config.relative_attention_num_buckets, num_heads];
      yield [`${block}.0.SelfAttention.relative_attention_bias.weight`, shape];
    }
    yield [`${block}.0.layer_norm.weight`, [D]];
    for (const part of ["wi_0", "wi_1"]) yield [`${block}.1.DenseReluDense.${part}.weight`, [d_ff, D]];
    yield [`${block}.1.DenseReluDense.wo.weight`, [D, d_ff]];
    yield [`${block}.1.layer_norm.weight`, [D]];
  }
  yield ["encoder.final_layer_norm.weight", [D]];
}
