/** Shapes of a checkpoint's tensors by their keys. */
export type Shapes = Record<string, number[]>;

const D = 3072; // 24 heads of 128
const T5 = { width: 4096, inner: 64 * 64, hidden: 10240, layers: 24, vocabulary: 32128 };
const CLIP = { width: 768, hidden: 3072, layers: 12, vocabulary: 49408 };
const VAE = [128, 256, 512, 512];
const LATENT = 16;

/** Of black-forest-labs/FLUX.1-dev, as its files are on the hub. */
export const fluxDevShapes: Readonly<Record<string, () => Shapes>> = {
  transformer,
  text_encoder: clip,
  text_encoder_2: t5,
  vae,
};

function linear(key: string, out: number, into: number): Shapes {
  return { [`${key}.weight`]: [out, into], [`${key}.bias`]: [out] };
}

function conv(key: string, out: number, into: number, kernel: number): Shapes {
  return { [`${key}.weight`]: [out, into, kernel, kernel], [`${key}.bias`]: [out] };
}

function norm(key: string, width: number): Shapes {
  return { [`${key}.weight`]: [width], [`${key}.bias`]: [width] };
}

/** 19 double and 38 single blocks. */
function transformer(): Shapes {
  const shapes: Shapes = {
    ...linear("x_embedder", D, 64),
    ...linear("context_embedder", D, T5.width),
    ...linear("norm_out.linear", 2 * D, D),
    ...linear("proj_out", 64, D),
  };
  for (const [name, width] of [["timestep", 256], ["guidance", 256], ["text", CLIP.width]] as const) {
    Object.assign(shapes, linear(`time_text_embed.${name}_embedder.linear_1`, D, width));
    Object.assign(shapes, linear(`time_text_embed.${name}_embedder.linear_2`, D, D));
  }
  for (let i = 0; i < 19; i++) {
    const block = `transformer_blocks.${i}`;
    for (
      const layer of [
        "to_q",
        "to_k",
        "to_v",
        "to_out.0",
        "add_q_proj",
        "add_k_proj",
        "add_v_proj",
        "to_add_out",
      ]
    ) {
      Object.assign(shapes, linear(`${block}.attn.${layer}`, D, D));
    }
    for (const layer of ["norm_q", "norm_k", "norm_added_q", "norm_added_k"]) {
      shapes[`${block}.attn.${layer}.weight`] = [128];
    }
    for (const stream of ["", "_context"]) {
      Object.assign(shapes, linear(`${block}.norm1${stream}.linear`, 6 * D, D));
      Object.assign(shapes, linear(`${block}.ff${stream}.net.0.proj`, 4 * D, D));
      Object.assign(shapes, linear(`${block}.ff${stream}.net.2`, D, 4 * D));
    }
  }
  for (let i = 0; i < 38; i++) {
    const block = `single_transformer_blocks.${i}`;
    for (const layer of ["to_q", "to_k", "to_v"]) {
      Object.assign(shapes, linear(`${block}.attn.${layer}`, D, D));
    }
    for (const layer of ["norm_q", "norm_k"]) shapes[`${block}.attn.${layer}.weight`] = [128];
    Object.assign(shapes, linear(`${block}.norm.linear`, 3 * D, D));
    Object.assign(shapes, linear(`${block}.proj_mlp`, 4 * D, D));
    Object.assign(shapes, linear(`${block}.proj_out`, D, 5 * D));
  }
  return shapes;
}

/** T5 v1.1 XXL's encoder. */
function t5(): Shapes {
  const { width, inner, hidden, layers, vocabulary } = T5;
  const shapes: Shapes = { "shared.weight": [vocabulary, width], "encoder.final_layer_norm.weight": [width] };
  shapes["encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"] = [32, 64];
  for (let i = 0; i < layers; i++) {
    const [attention, feed] = [`encoder.block.${i}.layer.0`, `encoder.block.${i}.layer.1`];
    for (const layer of ["q", "k", "v"]) {
      shapes[`${attention}.SelfAttention.${layer}.weight`] = [inner, width];
    }
    shapes[`${attention}.SelfAttention.o.weight`] = [width, inner];
    for (const layer of ["wi_0", "wi_1"]) shapes[`${feed}.DenseReluDense.${layer}.weight`] = [hidden, width];
    shapes[`${feed}.DenseReluDense.wo.weight`] = [width, hidden];
    for (const part of [attention, feed]) shapes[`${part}.layer_norm.weight`] = [width];
  }
  return shapes;
}

/** CLIP's text model, large. */
function clip(): Shapes {
  const { width, hidden, layers, vocabulary } = CLIP;
  const shapes: Shapes = {
    "text_model.embeddings.token_embedding.weight": [vocabulary, width],
    "text_model.embeddings.position_embedding.weight": [77, width],
    ...norm("text_model.final_layer_norm", width),
  };
  for (let i = 0; i < layers; i++) {
    const layer = `text_model.encoder.layers.${i}`;
    for (const name of ["q_proj", "k_proj", "v_proj", "out_proj"]) {
      Object.assign(shapes, linear(`${layer}.self_attn.${name}`, width, width));
    }
    Object.assign(
      shapes,
      linear(`${layer}.mlp.fc1`, hidden, width),
      linear(`${layer}.mlp.fc2`, width, hidden),
    );
    Object.assign(shapes, norm(`${layer}.layer_norm1`, width), norm(`${layer}.layer_norm2`, width));
  }
  return shapes;
}

/** The autoencoder with 16 channels of latents. */
function vae(): Shapes {
  const last = VAE.at(-1)!;
  const shapes: Shapes = {
    ...conv("encoder.conv_in", VAE[0]!, 3, 3),
    ...conv("encoder.conv_out", 2 * LATENT, last, 3),
    ...norm("encoder.conv_norm_out", last),
    ...conv("decoder.conv_in", last, LATENT, 3),
    ...conv("decoder.conv_out", 3, VAE[0]!, 3),
    ...norm("decoder.conv_norm_out", VAE[0]!),
    ...middle("encoder", last),
    ...middle("decoder", last),
  };
  VAE.forEach((width, i) => {
    const [down, up] = [`encoder.down_blocks.${i}`, `decoder.up_blocks.${i}`];
    const [own, from] = [VAE.at(-1 - i)!, VAE[VAE.length - i] ?? last];
    for (let j = 0; j < 2; j++) {
      Object.assign(shapes, resnet(`${down}.resnets.${j}`, width, j === 0 ? VAE[i - 1] ?? width : width));
    }
    for (let j = 0; j < 3; j++) {
      Object.assign(shapes, resnet(`${up}.resnets.${j}`, own, j === 0 ? from : own));
    }
    if (i === VAE.length - 1) return;
    Object.assign(shapes, conv(`${down}.downsamplers.0.conv`, width, width, 3));
    Object.assign(shapes, conv(`${up}.upsamplers.0.conv`, own, own, 3));
  });
  return shapes;
}

function middle(coder: string, width: number): Shapes {
  const block = `${coder}.mid_block`;
  const layers = ["to_q", "to_k", "to_v", "to_out.0"].map((name) =>
    linear(`${block}.attentions.0.${name}`, width, width)
  );
  return Object.assign(
    norm(`${block}.attentions.0.group_norm`, width),
    resnet(`${block}.resnets.0`, width, width),
    resnet(`${block}.resnets.1`, width, width),
    ...layers,
  );
}

function resnet(key: string, out: number, into: number): Shapes {
  return {
    ...norm(`${key}.norm1`, into),
    ...conv(`${key}.conv1`, out, into, 3),
    ...norm(`${key}.norm2`, out),
    ...conv(`${key}.conv2`, out, out, 3),
    ...(out === into ? {} : conv(`${key}.conv_shortcut`, out, into, 1)),
  };
}
