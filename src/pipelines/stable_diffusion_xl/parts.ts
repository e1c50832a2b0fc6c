import { z } from "zod";
import { parseConfig } from "../../io/config.ts";
import {
  type Autoencoder,
  AutoencoderKL,
  CLIPTextModel,
  CLIPTextModelWithProjection,
  UNet2DConditionModel,
} from "../../models/mod.ts";
import type { Scheduler } from "../../schedulers/mod.ts";
import { CLIPTokenizer } from "../../tokenizers/mod.ts";
import type { IPAdapterParts } from "../ip_adapter.ts";
import { type PipelineIndex, type PipelineOptions, readIndex } from "../model_index.ts";
import { openParts } from "../open_parts.ts";

/** The parts of Stable Diffusion XL; pipelines may share them. */
export interface StableDiffusionXLParts extends IPAdapterParts {
  /** Brings latents to pictures and back. */
  vae: Autoencoder;
  /** The smaller text encoder; the refiner has none. */
  textEncoder?: CLIPTextModel | undefined;
  /** The larger text encoder, which embeds whole texts too. */
  textEncoder2: CLIPTextModelWithProjection;
  /** The first encoder's; the refiner has none. */
  tokenizer?: CLIPTokenizer | undefined;
  /** The second encoder's. */
  tokenizer2: CLIPTokenizer;
  /** Predicts the noise. */
  unet: UNet2DConditionModel;
  /** Steps from noise to latents. */
  scheduler: Scheduler;
  /** Prompts without a negative one are set against zeros instead of the embedding of ""; true by default. */
  forceZerosForEmptyPrompt?: boolean | undefined;
  /** The model takes an aesthetic score instead of the target size, as the refiner does; false by default. */
  requiresAestheticsScore?: boolean | undefined;
}

const TOKENIZER = [CLIPTokenizer, "CLIPTokenizer", "CLIPTokenizerFast"] as const;
const REFINER = {
  tokenizer2: TOKENIZER,
  textEncoder2: [CLIPTextModelWithProjection, "CLIPTextModelWithProjection"],
  unet: [UNet2DConditionModel, "UNet2DConditionModel"],
  vae: [AutoencoderKL, "AutoencoderKL", "AutoencoderTiny"],
} as const;
const BASE = { ...REFINER, tokenizer: TOKENIZER, textEncoder: [CLIPTextModel, "CLIPTextModel"] } as const;

/** Opens the parts: of the refiner all but the first text encoder. */
export async function openPartsXL(
  pathOrRepo: string,
  options: PipelineOptions,
): Promise<StableDiffusionXLParts> {
  const index = await readIndex(pathOrRepo, options);
  const classes = "text_encoder" in index.components ? BASE : REFINER;
  return { ...readSwitches(index), ...await openParts(pathOrRepo, options, classes, index) };
}

const switches = z.looseObject({
  force_zeros_for_empty_prompt: z.boolean().default(true),
  requires_aesthetics_score: z.boolean().default(false),
});

/** The settings in model_index.json beside the parts. */
function readSwitches(
  { json }: PipelineIndex,
): Pick<StableDiffusionXLParts, "forceZerosForEmptyPrompt" | "requiresAestheticsScore"> {
  const read = parseConfig(switches, json, "model_index.json");
  return {
    forceZerosForEmptyPrompt: read.force_zeros_for_empty_prompt,
    requiresAestheticsScore: read.requires_aesthetics_score,
  };
}
