import { join } from "node:path";
import { fixture } from "./fixtures.ts";
import { headerOf } from "./flux_dev.ts";
import { fluxDevShapes, type Shapes } from "./flux_dev_shapes.ts";
import { qwen3Config, qwen3Shapes } from "./qwen3_shapes.ts";

/** Of Tongyi-MAI/Z-Image-Turbo, as its files are on the hub. */
export const zImageTurboShapes: Readonly<Record<string, () => Shapes>> = {
  transformer: () => zImageShapes(zImageTurboConfig),
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
  dim: 3840,
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

/** Shapes of a ZImageTransformer2DModel with tokens of 2×2 latents. */
export function zImageShapes(config: typeof zImageTurboConfig): Shapes {
  const { dim: D, cap_feat_dim, in_channels, n_layers, n_refiner_layers } = config;
  const T = Math.min(D, 256);
  const blocks = (list: string, count: number, isTimed: boolean) =>
    Array.from({ length: count }, (_, i) => block(`${list}.${i}`, config, isTimed));
  return Object.assign(
    { x_pad_token: [1, D], cap_pad_token: [1, D], "cap_embedder.0.weight": [cap_feat_dim] },
    linear("all_x_embedder.2-1", D, 4 * in_channels),
    linear("all_final_layer.2-1.linear", 4 * in_channels, D),
    linear("all_final_layer.2-1.adaLN_modulation.1", D, T),
    linear("t_embedder.mlp.0", 1024, 256),
    linear("t_embedder.mlp.2", T, 1024),
    linear("cap_embedder.1", D, cap_feat_dim),
    ...blocks("noise_refiner", n_refiner_layers, true),
    ...blocks("context_refiner", n_refiner_layers, false),
    ...blocks("layers", n_layers, true),
  );
}

/** The config.json of alibaba-pai/Z-Image-Turbo-Fun-Controlnet-Union-2.1. */
export const zImageControlNetConfig = {
  _class_name: "ZImageControlNetModel",
  add_control_noise_refiner: "control_noise_refiner",
  control_in_dim: 33,
  control_layers_places: Array.from({ length: 15 }, (_, i) => 2 * i),
  control_refiner_layers_places: [0, 1],
  dim: 3840,
  n_heads: 30,
  n_kv_heads: 30,
  n_refiner_layers: 2,
};

/** Shapes of a ZImageControlNetModel of version 2.1. */
export function zImageControlNetShapes(config: typeof zImageControlNetConfig): Shapes {
  const { dim: D, control_in_dim, control_layers_places, n_refiner_layers } = config;
  const blocks = (list: string, count: number) =>
    Array.from({ length: count }, (_, i) => ({
      ...block(`${list}.${i}`, {
        ...zImageTurboConfig,
        ...config,
        _class_name: zImageTurboConfig._class_name,
      }, true),
      ...i === 0 && linear(`${list}.0.before_proj`, D, D),
      ...linear(`${list}.${i}.after_proj`, D, D),
    }));
  return Object.assign(
    linear("control_all_x_embedder.2-1", D, 4 * control_in_dim),
    ...blocks("control_layers", control_layers_places.length),
    ...blocks("control_noise_refiner", n_refiner_layers),
  );
}

/** Writes the ControlNet as a single file, whose weights, in bf16, are holes: all 0. */
export async function writeZImageControlNet(path: string): Promise<void> {
  const { header, size } = headerOf(zImageControlNetShapes(zImageControlNetConfig));
  await Deno.writeFile(path, header);
  await Deno.truncate(path, size);
}

function block(path: string, { dim: D, n_heads }: typeof zImageTurboConfig, isTimed: boolean): Shapes {
  const hidden = Math.trunc(D / 3 * 8);
  const shapes: Shapes = {
    [`${path}.attention.norm_q.weight`]: [D / n_heads],
    [`${path}.attention.norm_k.weight`]: [D / n_heads],
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
  return isTimed ? { ...shapes, ...linear(`${path}.adaLN_modulation.0`, 4 * D, Math.min(D, 256)) } : shapes;
}
