import { type Autoencoder, AutoencoderKL, CLIPTextModel, UNet2DConditionModel } from "../../models/mod.ts";
import type { Scheduler } from "../../schedulers/mod.ts";
import { CLIPTokenizer } from "../../tokenizers/mod.ts";
import type { IPAdapterParts } from "../ip_adapter.ts";

/** The parts of Stable Diffusion; pipelines may share them. */
export interface StableDiffusionParts extends IPAdapterParts {
  /** Between pictures and latents. */
  vae: Autoencoder;
  /** Makes embeddings of tokens. */
  textEncoder: CLIPTextModel;
  /** Cuts prompts into tokens. */
  tokenizer: CLIPTokenizer;
  /** Predicts the noise. */
  unet: UNet2DConditionModel;
  /** May be exchanged between runs. */
  scheduler: Scheduler;
}

/** The classes of the parts, in the order in which they are opened. */
export const PARTS = {
  tokenizer: [CLIPTokenizer, "CLIPTokenizer", "CLIPTokenizerFast"],
  textEncoder: [CLIPTextModel, "CLIPTextModel"],
  unet: [UNet2DConditionModel, "UNet2DConditionModel"],
  vae: [AutoencoderKL, "AutoencoderKL", "AutoencoderTiny"],
} as const;
