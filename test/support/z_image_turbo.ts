import { join } from "node:path";
import { fixture } from "./fixtures.ts";
import { headerOf } from "./flux_dev.ts";
import { fluxDevShapes, type Shapes } from "./flux_dev_shapes.ts";
import { qwen3Config, qwen3Shapes } from "./qwen3_shapes.ts";

const D = 3840;

/** Of Tongyi-MAI/Z-Image-Turbo, as its files are on the hub. */
export const zImageTurboShapes: Readonly<Record<string, () => Shapes>> = {
  transformer,
  text_encoder: () => qwen3Shapes(qwen3Config),
  vae: fluxDevShapes["vae"]!,
};

/** The config.json of its transformer. */
export const zImageTurboConfig = {
  _class_name: "ZImageTransformer2DModel",
  all_f_patch_size: [1],
  all_patch_size: [2],
  axes_dims: [32, 48, 48],
  axes_lens: [1536, 512, 512],
  cap_feat_dim: 2560,
  dim: D,
  in_channels: 16,
  n_heads: 30,
  n_kv_heads: 30,
  n_layers: 30,
  n_refiner_layers: 2,
  norm_eps: 1e-5,
  qk_norm: true,
  rope_theta: 256,
  t_scale: 1000,
};

const configs: Record<string, object> = {
  transformer: zImageTurboConfig,
  text_encoder: qwen3Config,
  vae: {
    _class_name: "AutoencoderKL",
    block_out_channels: [128, 256, 512, 512],
    down_block_types: new Array(4).fill("DownEncoderBlock2D"),
    up_block_types: new Array(4).fill("UpDecoderBlock2D"),
    force_upcast: true,
    in_channels: 3,
    out_channels: 3,
    latent_channels: 16,
    layers_per_block: 2,
    norm_num_groups: 32,
    sample_size: 1024,
    scaling_factor: 0.3611,
    shift_factor: 0.1159,
    use_quant_conv: false,
    use_post_quant_conv: false,
  },
};

/**
 * Writes the repository into a folder, with the tokenizer of the fixtures; the weights, in bf16, are holes, which take no
 * room on the disk.
 */
export async function writeZImageTurbo(folder: string): Promise<void> {
  for (const part of ["", "scheduler", "tokenizer"]) {
    const from = fixture(join("zimage/pipeline", part));
    await Deno.mkdir(join(folder, part), { recursive: true });
    for await (const { name, isFile } of Deno.readDir(from)) {
      if (isFile) await Deno.copyFile(join(from, name), join(folder, part, name));
    }
  }
  for (const [part, config] of Object.entries(configs)) {
    await Deno.mkdir(join(folder, part), { recursive: true });
    await Deno.writeTextFile(join(folder, part, "config.json"), JSON.stringify(config));
    const stem = part === "text_encoder" ? "model" : "diffusion_pytorch_model";
    const { header, size } = headerOf(zImageTurboShapes[part]!());
    const path = join(folder, part, `${stem}.safetensors`);
    await Deno.writeFile(path, header);
    await Deno.truncate(path, size);
  }
}

function linear(key: string, out: number, into: number): Shapes {
  return { [`${key}.weight`]: [out, into], [`${key}.bias`]: [out] };
}

/** Two blocks over the picture, two over the caption, thirty over both. */
function transformer(): Shapes {
  return Object.assign(
    { x_pad_token: [1, D], cap_pad_token: [1, D], "cap_embedder.0.weight": [2560] },
    linear("all_x_embedder.2-1", D, 64),
    linear("all_final_layer.2-1.linear", 64, D),
    linear("all_final_layer.2-1.adaLN_modulation.1", D, 256),
    linear("t_embedder.mlp.0", 1024, 256),
    linear("t_embedder.mlp.2", 256, 1024),
    linear("cap_embedder.1", D, 2560),
    ...[0, 1].map((i) => block(`noise_refiner.${i}`, true)),
    ...[0, 1].map((i) => block(`context_refiner.${i}`, false)),
    ...Array.from({ length: 30 }, (_, i) => block(`layers.${i}`, true)),
  );
}

function block(path: string, isTimed: boolean): Shapes {
  const hidden = 10240;
  const shapes: Shapes = {
    [`${path}.attention.norm_q.weight`]: [128],
    [`${path}.attention.norm_k.weight`]: [128],
    [`${path}.feed_forward.w1.weight`]: [hidden, D],
    [`${path}.feed_forward.w2.weight`]: [D, hidden],
    [`${path}.feed_forward.w3.weight`]: [hidden, D],
  };
  for (const layer of ["to_q", "to_k", "to_v", "to_out.0"]) {
    shapes[`${path}.attention.${layer}.weight`] = [D, D];
  }
  for (const norm of ["attention_norm1", "attention_norm2", "ffn_norm1", "ffn_norm2"]) {
    shapes[`${path}.${norm}.weight`] = [D];
  }
  return isTimed ? { ...shapes, ...linear(`${path}.adaLN_modulation.0`, 4 * D, 256) } : shapes;
}
