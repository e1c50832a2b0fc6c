import { join } from "node:path";
import { fixture } from "./fixtures.ts";
import { headerOf } from "./flux_dev.ts";
import { fluxDevShapes, type Shapes } from "./flux_dev_shapes.ts";
import { qwen3Config, qwen3Shapes } from "./qwen3_shapes.ts";

/** Sizes of a FLUX.2: of its transformer, and of the Qwen3 that embeds its prompts, where that is built. */
export interface Flux2Sizes {
  readonly heads: number;
  readonly doubles: number;
  readonly singles: number;
  readonly text: number;
  readonly qwen3?: Partial<typeof qwen3Config>;
}

/** The published models. */
export const FLUX2 = {
  "FLUX.2-klein-4B": { heads: 24, doubles: 5, singles: 20, text: 7680, qwen3: {} },
  "FLUX.2-klein-9B": {
    heads: 32,
    doubles: 8,
    singles: 24,
    text: 12288,
    qwen3: { hidden_size: 4096, intermediate_size: 12288, tie_word_embeddings: false },
  },
  "FLUX.2-dev": { heads: 48, doubles: 8, singles: 48, text: 15360 },
} as const satisfies Record<string, Flux2Sizes>;

/** The config.json of a transformer. */
export function flux2Config({ heads, doubles, singles, text, qwen3 }: Flux2Sizes): Record<string, unknown> {
  return {
    _class_name: "Flux2Transformer2DModel",
    _diffusers_version: "0.37.0.dev0",
    attention_head_dim: 128,
    axes_dims_rope: [32, 32, 32, 32],
    eps: 1e-6,
    guidance_embeds: !qwen3,
    in_channels: 128,
    joint_attention_dim: text,
    mlp_ratio: 3,
    num_attention_heads: heads,
    num_layers: doubles,
    num_single_layers: singles,
    out_channels: null,
    patch_size: 1,
    rope_theta: 2000,
    timestep_guidance_channels: 256,
  };
}

const VAE_CONFIG = {
  _class_name: "AutoencoderKLFlux2",
  act_fn: "silu",
  batch_norm_eps: 1e-4,
  batch_norm_momentum: 0.1,
  block_out_channels: [128, 256, 512, 512],
  down_block_types: new Array(4).fill("DownEncoderBlock2D"),
  up_block_types: new Array(4).fill("UpDecoderBlock2D"),
  force_upcast: true,
  in_channels: 3,
  out_channels: 3,
  latent_channels: 32,
  layers_per_block: 2,
  mid_block_add_attention: true,
  norm_num_groups: 32,
  patch_size: [2, 2],
  sample_size: 1024,
  use_post_quant_conv: true,
  use_quant_conv: true,
};

/** Keys and shapes of a transformer. */
export function flux2Shapes({ heads, doubles, singles, text, qwen3 }: Flux2Sizes): Shapes {
  const D = 128 * heads;
  const mlp = 3 * D;
  const shapes: Shapes = {};
  const linear = (key: string, out: number, into: number) => shapes[`${key}.weight`] = [out, into];
  linear("x_embedder", D, 128);
  linear("context_embedder", D, text);
  for (const name of qwen3 ? ["timestep"] : ["timestep", "guidance"]) {
    linear(`time_guidance_embed.${name}_embedder.linear_1`, D, 256);
    linear(`time_guidance_embed.${name}_embedder.linear_2`, D, D);
  }
  linear("double_stream_modulation_img.linear", 6 * D, D);
  linear("double_stream_modulation_txt.linear", 6 * D, D);
  linear("single_stream_modulation.linear", 3 * D, D);
  linear("norm_out.linear", 2 * D, D);
  linear("proj_out", 128, D);
  for (let i = 0; i < doubles; i++) {
    const block = `transformer_blocks.${i}`;
    const layers = [
      "to_q",
      "to_k",
      "to_v",
      "to_out.0",
      "add_q_proj",
      "add_k_proj",
      "add_v_proj",
      "to_add_out",
    ];
    for (const layer of layers) linear(`${block}.attn.${layer}`, D, D);
    for (const norm of ["norm_q", "norm_k", "norm_added_q", "norm_added_k"]) {
      shapes[`${block}.attn.${norm}.weight`] = [128];
    }
    for (const ff of ["ff", "ff_context"]) {
      linear(`${block}.${ff}.linear_in`, 2 * mlp, D);
      linear(`${block}.${ff}.linear_out`, D, mlp);
    }
  }
  for (let i = 0; i < singles; i++) {
    const attention = `single_transformer_blocks.${i}.attn`;
    linear(`${attention}.to_qkv_mlp_proj`, 3 * D + 2 * mlp, D);
    linear(`${attention}.to_out`, D, D + mlp);
    for (const norm of ["norm_q", "norm_k"]) shapes[`${attention}.${norm}.weight`] = [128];
  }
  return shapes;
}

/** Keys and shapes of the autoencoder: FLUX.1's with other latents, convolutions outside the coders and statistics. */
function vaeShapes(): Shapes {
  const C = 32;
  return {
    ...fluxDevShapes["vae"]!(),
    "encoder.conv_out.weight": [2 * C, 512, 3, 3],
    "encoder.conv_out.bias": [2 * C],
    "decoder.conv_in.weight": [512, C, 3, 3],
    "quant_conv.weight": [2 * C, 2 * C, 1, 1],
    "quant_conv.bias": [2 * C],
    "post_quant_conv.weight": [C, C, 1, 1],
    "post_quant_conv.bias": [C],
    "bn.running_mean": [4 * C],
    "bn.running_var": [4 * C],
  };
}

/**
 * Writes a repository into a folder, with the tokenizer of the fixtures; the weights, in bf16, are holes, which take no
 * room on the disk.
 */
export async function writeFlux2(folder: string, sizes: Flux2Sizes): Promise<void> {
  const parts: Record<string, [config: object, shapes: Shapes]> = {
    transformer: [flux2Config(sizes), flux2Shapes(sizes)],
    vae: [VAE_CONFIG, vaeShapes()],
  };
  if (sizes.qwen3) {
    const config = { ...qwen3Config, ...sizes.qwen3 };
    const shapes = qwen3Shapes(config);
    if (!config.tie_word_embeddings) shapes["lm_head.weight"] = [config.vocab_size, config.hidden_size];
    parts["text_encoder"] = [config, shapes];
  }
  for (const part of ["", "scheduler", "tokenizer"]) {
    const from = fixture(join("flux2/pipeline", part));
    await Deno.mkdir(join(folder, part), { recursive: true });
    for await (const { name, isFile } of Deno.readDir(from)) {
      if (isFile) await Deno.copyFile(join(from, name), join(folder, part, name));
    }
  }
  if (!sizes.qwen3) {
    const path = join(folder, "model_index.json");
    const { transformer, vae, scheduler } = JSON.parse(await Deno.readTextFile(path));
    await Deno.writeTextFile(
      path,
      JSON.stringify({
        _class_name: "Flux2Pipeline",
        transformer,
        vae,
        scheduler,
        text_encoder: ["transformers", "Mistral3ForConditionalGeneration"],
        tokenizer: ["transformers", "PixtralProcessor"],
      }),
    );
  }
  for (const [part, [config, shapes]] of Object.entries(parts)) {
    await Deno.mkdir(join(folder, part), { recursive: true });
    await Deno.writeTextFile(join(folder, part, "config.json"), JSON.stringify(config));
    const stem = part === "text_encoder" ? "model" : "diffusion_pytorch_model";
    const { header, size } = headerOf(shapes);
    const path = join(folder, part, `${stem}.safetensors`);
    await Deno.writeFile(path, header);
    await Deno.truncate(path, size);
  }
}
