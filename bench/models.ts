import type { Model } from "../src/models/runtime/model.ts";
import { noise } from "./random.ts";
import { writeSafetensors } from "./safetensors.ts";
import { autoencoderParameters, flopsOf, type Parameter, unetParameters } from "./parameters.ts";

/** The config of google/ddpm-celebahq-256 (Ho et al. 2020): 113,673,219 parameters. */
export const CELEBAHQ = {
  _class_name: "UNet2DModel",
  sample_size: 256,
  in_channels: 3,
  out_channels: 3,
  layers_per_block: 2,
  block_out_channels: [128, 128, 256, 256, 512, 512],
  down_block_types: [
    "DownBlock2D",
    "DownBlock2D",
    "DownBlock2D",
    "DownBlock2D",
    "AttnDownBlock2D",
    "DownBlock2D",
  ],
  up_block_types: ["UpBlock2D", "AttnUpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D", "UpBlock2D"],
  attention_head_dim: null,
  downsample_padding: 0,
  flip_sin_to_cos: false,
  freq_shift: 1,
  norm_eps: 1e-6,
  norm_num_groups: 32,
  act_fn: "silu",
};

/** The config of Stable Diffusion 1.5's UNet (Rombach et al. 2022): 859,520,964 parameters. */
export const SD15_UNET = {
  _class_name: "UNet2DConditionModel",
  sample_size: 64,
  in_channels: 4,
  out_channels: 4,
  layers_per_block: 2,
  block_out_channels: [320, 640, 1280, 1280],
  down_block_types: ["CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"],
  up_block_types: ["UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"],
  attention_head_dim: 8,
  cross_attention_dim: 768,
};

/** The config of Stable Diffusion 1.5's autoencoder: 83,653,863 parameters. */
export const SD15_VAE = {
  _class_name: "AutoencoderKL",
  sample_size: 512,
  in_channels: 3,
  out_channels: 3,
  latent_channels: 4,
  layers_per_block: 2,
  block_out_channels: [128, 256, 512, 512],
  down_block_types: Array(4).fill("DownEncoderBlock2D"),
  up_block_types: Array(4).fill("UpDecoderBlock2D"),
};

/** Tokens of CLIP's prompts. */
export const PROMPT_TOKENS = 77;

/** Multiply-adds, counted twice, of one picture through a UNet at `side` pixels of its input. */
export function unetFlops(config: typeof CELEBAHQ | typeof SD15_UNET, side: number): number {
  return flopsOf(unetParameters(config), side, PROMPT_TOKENS);
}

/** The same of decoding to a picture of `side` pixels. */
export function decoderFlops(side: number): number {
  const decodes = ({ name }: Parameter) => /^(decoder|post_quant_conv)\./.test(name);
  return flopsOf([...autoencoderParameters(SD15_VAE)].filter(decodes), side);
}

/** A model at its real size, and how fast its file was read, converted and sent to the adapter. */
export interface Seeded<M> {
  model: M;
  bytes: number;
  seconds: number;
}

/** Makes a model with seeded weights, through a file as any other, which is removed. */
export async function seededModel<M extends Model>(
  type: { fromPretrained(path: string): Promise<M> },
  config: object,
  parameters: Iterable<Parameter>,
): Promise<Seeded<M>> {
  const folder = await Deno.makeTempDir({ prefix: "denoise-bench-" });
  const path = `${folder}/diffusion_pytorch_model.safetensors`;
  try {
    await Deno.writeTextFile(`${folder}/config.json`, JSON.stringify(config));
    await writeSafetensors(
      path,
      [...parameters].map(({ name, shape }) => [name, shape] as const),
      (count, shape) => shape.length === 1 ? noise(count, 0.1) : noise(count, Math.sqrt(shape[0]! / count)),
    );
    const { size: bytes } = await Deno.stat(path);
    const start = performance.now();
    const model = await type.fromPretrained(folder);
    await model.device.idle();
    return { model, bytes, seconds: (performance.now() - start) / 1000 };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
