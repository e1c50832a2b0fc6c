import type { TensorInfo } from "../../src/io/formats/checkpoint.ts";

/**
 * Keys and shapes that tell what real checkpoints are,
 * as their authors published them; the others are left out.
 */
export type Shapes = Record<string, readonly number[]>;

/** Shapes as the tensors of a file. */
export function infosOf(shapes: Shapes): Map<string, TensorInfo> {
  return new Map(
    Object.entries(shapes).map(([name, shape]) => [name, { name, dtype: "F16", shape, bytes: 0 }]),
  );
}

/**
 * A UNet of CompVis or Stability: channels and transformer blocks of each level, from the widest picture on.
 */
export interface UnetShape {
  readonly channels: readonly number[];
  readonly depths: readonly number[];
  readonly middle: number;
  readonly cross: number;
  readonly linear: boolean;
  readonly inputs?: number | undefined;
  /** Width of what SDXL is told beside the prompt. */
  readonly label?: number | undefined;
}

/** A UNet with two residual blocks a level. */
export function unetShapes(
  { channels, depths, middle, cross, linear, inputs = 4, label }: UnetShape,
): Shapes {
  const shapes: Shapes = {
    "input_blocks.0.0.weight": [channels[0]!, inputs, 3, 3],
    "out.2.weight": [4, channels[0]!, 3, 3],
    ...label && { "label_emb.0.0.weight": [4 * channels[0]!, label] },
  };
  const block = (name: string, width: number, depth: number) => {
    shapes[`${name}.0.in_layers.2.weight`] = [width, width, 3, 3];
    if (depth) shapes[`${name}.1.proj_in.weight`] = linear ? [width, width] : [width, width, 1, 1];
    for (let i = 0; i < depth; i++) {
      shapes[`${name}.1.transformer_blocks.${i}.attn2.to_k.weight`] = [width, cross];
    }
  };
  channels.forEach((width, level) => {
    for (const layer of [0, 1]) block(`input_blocks.${1 + 3 * level + layer}`, width, depths[level]!);
    if (level < channels.length - 1) {
      shapes[`input_blocks.${3 * level + 3}.0.op.weight`] = [width, width, 3, 3];
    }
    const up = channels.length - 1 - level;
    for (const layer of [0, 1, 2]) block(`output_blocks.${3 * up + layer}`, width, depths[level]!);
  });
  block("middle_block", channels.at(-1)!, 0);
  shapes["middle_block.1.proj_in.weight"] = linear ? [1, 1] : [1, 1, 1, 1];
  for (let i = 0; i < middle; i++) {
    shapes[`middle_block.1.transformer_blocks.${i}.attn2.to_k.weight`] = [channels.at(-1)!, cross];
  }
  return shapes;
}

/** The autoencoder of all of them but for the channels of its latents. */
export function vaeShapes(latents: number): Shapes {
  const widths = [128, 256, 512, 512];
  return {
    "encoder.conv_in.weight": [128, 3, 3, 3],
    "decoder.conv_in.weight": [512, latents, 3, 3],
    "decoder.conv_out.weight": [3, 128, 3, 3],
    "decoder.mid.attn_1.q.weight": [512, 512, 1, 1],
    "decoder.mid.block_1.conv1.weight": [512, 512, 3, 3],
    ...latents === 4 && { "quant_conv.weight": [8, 8, 1, 1], "post_quant_conv.weight": [4, 4, 1, 1] },
    ...Object.fromEntries(
      widths.flatMap((width, i) =>
        [0, 1].map((layer) => [`encoder.down.${i}.block.${layer}.conv1.weight`, [width, width, 3, 3]])
      ),
    ),
  };
}

/** OpenAI's CLIP-L, in transformers' names. */
export function clipShapes(): Shapes {
  return {
    "text_model.embeddings.position_embedding.weight": [77, 768],
    "text_model.embeddings.token_embedding.weight": [49408, 768],
    "text_model.encoder.layers.0.mlp.fc1.weight": [3072, 768],
    "text_model.encoder.layers.11.mlp.fc1.weight": [3072, 768],
  };
}

/** OpenCLIP's ViT-H (1024 wide, 24 layers) or bigG (1280, 32). */
export function openClipShapes(width: number, layers: number): Shapes {
  return {
    positional_embedding: [77, width],
    "token_embedding.weight": [49408, width],
    text_projection: [width, width],
    "transformer.resblocks.0.mlp.c_fc.weight": [4 * width, width],
    [`transformer.resblocks.${layers - 1}.mlp.c_fc.weight`]: [4 * width, width],
  };
}

/** FLUX.1: dev has an embedding of guidance, schnell has none. */
export function fluxShapes({ guidance, inputs = 64 }: { guidance: boolean; inputs?: number }): Shapes {
  return {
    "img_in.weight": [3072, inputs],
    "txt_in.weight": [3072, 4096],
    "vector_in.in_layer.weight": [3072, 768],
    "double_blocks.0.img_attn.norm.query_norm.scale": [128],
    "double_blocks.18.img_attn.norm.query_norm.scale": [128],
    "single_blocks.37.linear2.weight": [3072, 15360],
    "final_layer.linear.weight": [64, 3072],
    ...guidance && { "guidance_in.in_layer.weight": [3072, 256] },
  };
}

/** FLUX.2: klein-4B, klein-9B, or dev, which alone has an embedding of guidance. */
export function flux2Shapes(model: "klein4B" | "klein9B" | "dev"): Shapes {
  const [heads, doubles, singles, text] = ({
    klein4B: [24, 5, 20, 7680],
    klein9B: [32, 8, 24, 12288],
    dev: [48, 8, 48, 15360],
  } as const)[model];
  const width = 128 * heads;
  return {
    "img_in.weight": [width, 128],
    "txt_in.weight": [width, text],
    "time_in.in_layer.weight": [width, 256],
    "single_stream_modulation.lin.weight": [3 * width, width],
    "double_blocks.0.img_attn.norm.query_norm.scale": [128],
    "double_blocks.0.img_mlp.2.weight": [width, 3 * width],
    [`double_blocks.${doubles - 1}.img_mlp.2.weight`]: [width, 3 * width],
    [`single_blocks.${singles - 1}.linear2.weight`]: [width, 4 * width],
    "final_layer.linear.weight": [128, width],
    ...model === "dev" && { "guidance_in.in_layer.weight": [width, 256] },
  };
}

/** FLUX.2's autoencoder, with its own decoder or a small one. */
export function flux2VaeShapes(decoder: readonly number[] = [128, 256, 512, 512]): Shapes {
  return {
    ...vaeShapes(32),
    "bn.running_mean": [128],
    "encoder.quant_conv.weight": [64, 64, 1, 1],
    "decoder.post_quant_conv.weight": [32, 32, 1, 1],
    ...Object.fromEntries(
      decoder.map((width, i) => [`decoder.up.${i}.block.0.conv2.weight`, [width, width, 3, 3]]),
    ),
  };
}

/** Z-Image and Z-Image-Turbo, which have the same shapes. */
export function zImageShapes(): Shapes {
  return {
    "x_embedder.weight": [3840, 64],
    "cap_embedder.1.weight": [3840, 2560],
    "cap_pad_token": [1, 3840],
    "noise_refiner.0.attention.q_norm.weight": [128],
    "noise_refiner.0.attention.qkv.weight": [11520, 3840],
    "noise_refiner.1.attention.qkv.weight": [11520, 3840],
    "layers.29.attention.qkv.weight": [11520, 3840],
    "final_layer.linear.weight": [64, 3840],
  };
}

/** T5-XXL's encoder. */
export function t5Shapes(): Shapes {
  return {
    "shared.weight": [32128, 4096],
    "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": [32, 64],
    "encoder.block.0.layer.0.SelfAttention.q.weight": [4096, 4096],
    "encoder.block.0.layer.1.DenseReluDense.wi_0.weight": [10240, 4096],
    "encoder.block.23.layer.0.SelfAttention.q.weight": [4096, 4096],
  };
}

/** Qwen3-4B, the text encoder of FLUX.2 klein-4B and Z-Image, under transformers' names. */
export function qwen3Shapes(): Shapes {
  const layer = (i: number) =>
    prefixed(`model.layers.${i}.`, {
      "self_attn.q_proj.weight": [4096, 2560],
      "self_attn.k_proj.weight": [1024, 2560],
      "self_attn.q_norm.weight": [128],
      "mlp.gate_proj.weight": [9728, 2560],
    });
  return { "model.embed_tokens.weight": [151936, 2560], ...layer(0), ...layer(35) };
}

/** Shapes behind a prefix. */
export function prefixed(prefix: string, shapes: Shapes): Shapes {
  return Object.fromEntries(Object.entries(shapes).map(([key, shape]) => [prefix + key, shape]));
}
