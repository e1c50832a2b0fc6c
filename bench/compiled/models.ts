/** Models whose kernels are compiled, and whose steps are encoded: real configs and shapes, weights of zero in files that take no room. */
import { join } from "node:path";
import {
  AutoencoderKL,
  CLIPTextModel,
  CLIPTextModelWithProjection,
  FluxTransformer2DModel,
  type Model,
  Qwen3Model,
  T5EncoderModel,
  UNet2DConditionModel,
  ZImageTransformer2DModel,
} from "denoise/models";
import { qwen3Config, qwen3Shapes } from "../../test/support/qwen3_shapes.ts";
import { zImageShapes, zImageTurboConfig } from "../../test/support/z_image_turbo.ts";
import { fluxParameters } from "../flux_parameters.ts";
import { SD15_UNET, SD15_VAE } from "../models.ts";
import { autoencoderParameters, type Parameter, unetParameters } from "../parameters.ts";
import { type Entry, writeSafetensors } from "../safetensors.ts";
import { clipTextParameters, t5Parameters } from "../text_parameters.ts";

/** One model of a pipeline. */
export interface Part {
  /** E.g. "unet". */
  readonly name: string;
  readonly type: { fromPretrained(folder: string, options: object): Promise<Model> };
  readonly config: object;
  readonly entries: Iterable<Entry>;
  /** What it is traced for, in order; one entry point without a name by default. */
  readonly works?: readonly string[];
}

const CLIP_L = {
  model_type: "clip_text_model",
  vocab_size: 49408,
  max_position_embeddings: 77,
  hidden_size: 768,
  intermediate_size: 3072,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  hidden_act: "quick_gelu",
  eos_token_id: 49407,
};

const CLIP_G = {
  ...CLIP_L,
  hidden_size: 1280,
  intermediate_size: 5120,
  num_hidden_layers: 32,
  num_attention_heads: 20,
  hidden_act: "gelu",
  projection_dim: 1280,
};

const T5_XXL = {
  model_type: "t5",
  vocab_size: 32128,
  d_model: 4096,
  d_kv: 64,
  d_ff: 10240,
  num_layers: 24,
  num_heads: 64,
  relative_attention_num_buckets: 32,
  relative_attention_max_distance: 128,
  feed_forward_proj: "gated-gelu",
  dense_act_fn: "gelu_new",
  is_gated_act: true,
  layer_norm_epsilon: 1e-6,
};

const SDXL_UNET = {
  _class_name: "UNet2DConditionModel",
  sample_size: 128,
  in_channels: 4,
  out_channels: 4,
  layers_per_block: 2,
  block_out_channels: [320, 640, 1280],
  down_block_types: ["DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"],
  up_block_types: ["CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"],
  transformer_layers_per_block: [1, 2, 10],
  attention_head_dim: [5, 10, 20],
  cross_attention_dim: 2048,
  use_linear_projection: true,
  addition_embed_type: "text_time",
  addition_time_embed_dim: 256,
  projection_class_embeddings_input_dim: 2816,
};

const FLUX = {
  _class_name: "FluxTransformer2DModel",
  patch_size: 1,
  in_channels: 64,
  num_layers: 19,
  num_single_layers: 38,
  attention_head_dim: 128,
  num_attention_heads: 24,
  joint_attention_dim: 4096,
  pooled_projection_dim: 768,
  guidance_embeds: true,
  axes_dims_rope: [16, 56, 56],
};

const LARGE_VAE = { ...SD15_VAE, sample_size: 1024 };
const FLUX_VAE = { ...LARGE_VAE, latent_channels: 16, use_quant_conv: false, use_post_quant_conv: false };

const vae = (config: typeof SD15_VAE): Part => ({
  name: "vae",
  type: AutoencoderKL,
  config,
  entries: entriesOf(autoencoderParameters(config)),
  works: ["encode", "decode"],
});
const unet = (config: typeof SD15_UNET | typeof SDXL_UNET): Part => ({
  name: "unet",
  type: UNet2DConditionModel,
  config,
  entries: entriesOf(unetParameters(config)),
});
const clipL = (): Part => ({
  name: "text_encoder",
  type: CLIPTextModel,
  config: CLIP_L,
  entries: clipTextParameters(CLIP_L),
});

/** Pipelines by name, their models in the order of their work. */
export const PIPELINES: Readonly<Record<string, () => Part[]>> = {
  "SD 1.5 512²": () => [clipL(), unet(SD15_UNET), vae(SD15_VAE)],
  "SDXL 1024²": () => [
    clipL(),
    {
      name: "text_encoder_2",
      type: CLIPTextModelWithProjection,
      config: CLIP_G,
      entries: clipTextParameters(CLIP_G, true),
    },
    unet(SDXL_UNET),
    vae(LARGE_VAE),
  ],
  "FLUX.1 1024²": () => [
    clipL(),
    { name: "text_encoder_2", type: T5EncoderModel, config: T5_XXL, entries: t5Parameters(T5_XXL) },
    {
      name: "transformer",
      type: FluxTransformer2DModel,
      config: FLUX,
      entries: fluxParameters(FLUX),
      works: ["step", "condition"],
    },
    vae(FLUX_VAE),
  ],
  "Z-Image 1024²": () => [ // its VAE is FLUX.1's
    {
      name: "text_encoder",
      type: Qwen3Model,
      config: qwen3Config,
      entries: Object.entries(qwen3Shapes(qwen3Config)),
    },
    {
      name: "transformer",
      type: ZImageTransformer2DModel,
      config: zImageTurboConfig,
      entries: Object.entries(zImageShapes(zImageTurboConfig)),
    },
  ],
};

/** Traces a model at its usual size as it is prepared for loading; its weights stay where they are unless they are wanted. */
export async function traceModel({ type, config, entries }: Part, { load = false } = {}): Promise<Model> {
  const folder = await Deno.makeTempDir({ prefix: "denoise-compiled-" });
  try {
    await Deno.writeTextFile(join(folder, "config.json"), JSON.stringify(config));
    const { _class_name: ours } = config as { _class_name?: string };
    const stem = ours ? "diffusion_pytorch_model" : "model"; // transformers' names, which write no class
    await writeSafetensors(join(folder, `${stem}.safetensors`), [...entries]);
    return await type.fromPretrained(folder, { defer: !load, dtype: "f16" });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function entriesOf(parameters: Iterable<Parameter>): Entry[] {
  return [...parameters].map(({ name, shape }) => [name, shape]);
}
