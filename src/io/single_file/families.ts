import type { Infos } from "../names/keys.ts";
import type { Part } from "./parts.ts";

/** Facts common to the models of a family that do not follow from keys and shapes. */
export interface Family {
  /** Its name in messages. */
  readonly name: string;
  /** The repository that diffusers takes configs from. */
  readonly repo: string;
  /** Keys of the components' configs, by folder. */
  readonly configs: Readonly<Record<string, Record<string, unknown>>>;
  /** Its scheduler_config.json. */
  readonly scheduler: Readonly<Record<string, unknown>>;
  /** Classes of its models by folder, as in model_index.json. */
  readonly models: Readonly<Record<string, string>>;
  /** Tokenizers that pad with the token "!", whose id is 0. */
  readonly zeroPadded: readonly string[];
}

const betas = {
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: "scaled_linear",
  num_train_timesteps: 1000,
  trained_betas: null,
  set_alpha_to_one: false,
  steps_offset: 1,
};

const xlConfigs = { unet: { sample_size: 128 }, vae: { sample_size: 1024, scaling_factor: 0.13025 } };
const xlScheduler = {
  _class_name: "EulerDiscreteScheduler",
  ...betas,
  timestep_spacing: "leading",
  interpolation_type: "linear",
  prediction_type: "epsilon",
};

const flow = {
  _class_name: "FlowMatchEulerDiscreteScheduler",
  num_train_timesteps: 1000,
  base_image_seq_len: 256,
  max_image_seq_len: 4096,
  base_shift: 0.5,
  max_shift: 1.15,
};

const flux2Models = { transformer: "Flux2Transformer2DModel", vae: "AutoencoderKLFlux2" };

const fluxConfigs = { vae: { sample_size: 1024, scaling_factor: 0.3611, shift_factor: 0.1159 } };

const unet = "UNet2DConditionModel";
const vae = "AutoencoderKL";
const sdModels = { unet, vae, text_encoder: "CLIPTextModel" };
const fluxModels = {
  transformer: "FluxTransformer2DModel",
  vae,
  text_encoder: "CLIPTextModel",
  text_encoder_2: "T5EncoderModel",
};

/** The families that can be loaded, with the values of their repositories. */
export const families = {
  sd1: {
    name: "Stable Diffusion 1",
    repo: "stable-diffusion-v1-5/stable-diffusion-v1-5",
    configs: { unet: { sample_size: 64 }, vae: { sample_size: 512, scaling_factor: 0.18215 } },
    scheduler: { _class_name: "PNDMScheduler", ...betas, skip_prk_steps: true, clip_sample: false },
    models: sdModels,
    zeroPadded: [],
  },
  sd2: {
    name: "Stable Diffusion 2",
    repo: "stabilityai/stable-diffusion-2-1",
    configs: {
      unet: { sample_size: 96, upcast_attention: true },
      vae: { sample_size: 768, scaling_factor: 0.18215 },
    },
    scheduler: {
      _class_name: "DDIMScheduler",
      ...betas,
      clip_sample: false,
      prediction_type: "v_prediction",
    },
    models: sdModels,
    zeroPadded: ["tokenizer"],
  },
  sdxl: {
    name: "Stable Diffusion XL",
    repo: "stabilityai/stable-diffusion-xl-base-1.0",
    configs: xlConfigs,
    scheduler: xlScheduler,
    models: { ...sdModels, text_encoder_2: "CLIPTextModelWithProjection" },
    zeroPadded: ["tokenizer_2"],
  },
  sdxlRefiner: {
    name: "Stable Diffusion XL refiner",
    repo: "stabilityai/stable-diffusion-xl-refiner-1.0",
    configs: xlConfigs,
    scheduler: xlScheduler,
    models: { unet, vae, text_encoder_2: "CLIPTextModelWithProjection" },
    zeroPadded: ["tokenizer_2"],
  },
  fluxDev: {
    name: "FLUX.1-dev",
    repo: "black-forest-labs/FLUX.1-dev",
    configs: fluxConfigs,
    scheduler: { ...flow, shift: 3, use_dynamic_shifting: true },
    models: fluxModels,
    zeroPadded: [],
  },
  fluxSchnell: {
    name: "FLUX.1-schnell",
    repo: "black-forest-labs/FLUX.1-schnell",
    configs: fluxConfigs,
    scheduler: { ...flow, shift: 1, use_dynamic_shifting: false },
    models: fluxModels,
    zeroPadded: [],
  },
  flux2Dev: {
    name: "FLUX.2-dev",
    repo: "black-forest-labs/FLUX.2-dev",
    configs: {},
    scheduler: { ...flow, shift: 3, use_dynamic_shifting: true },
    models: flux2Models,
    zeroPadded: [],
  },
  flux2Klein4B: {
    name: "FLUX.2-klein-4B",
    repo: "black-forest-labs/FLUX.2-klein-4B",
    configs: {},
    scheduler: { ...flow, shift: 3, use_dynamic_shifting: true },
    models: { ...flux2Models, text_encoder: "Qwen3Model" },
    zeroPadded: [],
  },
  flux2Klein9B: {
    name: "FLUX.2-klein-9B",
    repo: "black-forest-labs/FLUX.2-klein-9B",
    configs: {},
    scheduler: { ...flow, shift: 3, use_dynamic_shifting: true },
    models: { ...flux2Models, text_encoder: "Qwen3Model" },
    zeroPadded: [],
  },
  zImage: {
    name: "Z-Image",
    repo: "Tongyi-MAI/Z-Image-Turbo",
    configs: fluxConfigs,
    scheduler: { ...flow, shift: 3, use_dynamic_shifting: false },
    models: { transformer: "ZImageTransformer2DModel", vae, text_encoder: "Qwen3Model" },
    zeroPadded: [],
  },
} as const satisfies Record<string, Family>;

/** Name of a family. */
export type FamilyName = keyof typeof families;

/** The family of a file: by its text encoders, else by the width of the embeddings that its UNet takes. */
export function familyOf(tensors: Infos, parts: ReadonlyMap<string, Part>): FamilyName | undefined {
  const transformer = parts.get("transformer");
  if (transformer?.className === "ZImageTransformer2DModel") return "zImage";
  if (transformer?.className === "Flux2Transformer2DModel") return flux2Family(transformer.config(tensors));
  if (transformer) {
    return transformer.config(tensors)["guidance_embeds"] ? "fluxDev" : "fluxSchnell";
  }
  const unet = parts.get("unet");
  if (!unet) return undefined;
  const byText = {
    "conditioner.embedders.0.transformer.": "sdxl",
    "conditioner.embedders.1.model.": "sdxl",
    "conditioner.embedders.0.model.": "sdxlRefiner",
    "cond_stage_model.model.": "sd2",
    "cond_stage_model.transformer.": "sd1",
  } as const;
  for (const folder of ["text_encoder", "text_encoder_2"]) {
    const found = byText[parts.get(folder)?.prefix as keyof typeof byText];
    if (found) return found;
  }
  const { cross_attention_dim, addition_embed_type } = unet.config(tensors);
  if (addition_embed_type) return cross_attention_dim === 1280 ? "sdxlRefiner" : "sdxl";
  return cross_attention_dim === 1024 ? "sd2" : "sd1";
}

const KLEIN_4B = 7680; // width of its prompts: three states of Qwen3-4B

/** The family of a FLUX.2 by its transformer's config. */
function flux2Family({ guidance_embeds, joint_attention_dim }: Record<string, unknown>): FamilyName {
  if (guidance_embeds) return "flux2Dev";
  return joint_attention_dim === KLEIN_4B ? "flux2Klein4B" : "flux2Klein9B";
}

/** The class of the pipeline; the UNet's input channels beyond those of latents tell which. */
export function pipelineOf(family: FamilyName, channels: unknown): string {
  if (family === "fluxDev" || family === "fluxSchnell") {
    return { 384: "FluxFillPipeline", 128: "FluxControlPipeline" }[channels as number] ?? "FluxPipeline";
  }
  if (family === "flux2Dev") return "Flux2Pipeline";
  if (family === "flux2Klein4B" || family === "flux2Klein9B") return "Flux2KleinPipeline";
  if (family === "zImage") return "ZImagePipeline";
  if (family === "sdxlRefiner") return "StableDiffusionXLImg2ImgPipeline";
  if (family === "sdxl") {
    return channels === 9 ? "StableDiffusionXLInpaintPipeline" : "StableDiffusionXLPipeline";
  }
  const others: Record<number, string> = {
    5: "StableDiffusionDepth2ImgPipeline",
    8: "StableDiffusionInstructPix2PixPipeline",
    9: "StableDiffusionInpaintPipeline",
  };
  return others[channels as number] ?? "StableDiffusionPipeline";
}
