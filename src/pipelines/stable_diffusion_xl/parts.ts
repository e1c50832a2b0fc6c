import { z } from "zod";
import { parseConfig } from "../../io/config.ts";
import {
  AutoencoderKL,
  CLIPTextModel,
  CLIPTextModelWithProjection,
  UNet2DConditionModel,
} from "../../models/mod.ts";
import type { Scheduler } from "../../schedulers/mod.ts";
import { CLIPTokenizer } from "../../tokenizers/mod.ts";
import { openPart, openPipeline, tellPlan } from "../open_parts.ts";
import { expectComponent, type PipelineIndex, type PipelineOptions } from "../run.ts";
import type { Residents } from "../memory/residency.ts";

/** What Stable Diffusion XL is made of; pipelines may share parts. */
export interface StableDiffusionXLParts extends Residents {
  /** Brings latents to pictures and back. */
  vae: AutoencoderKL;
  /** The smaller text encoder; the refiner has none. */
  textEncoder?: CLIPTextModel | undefined;
  /** The larger text encoder, which embeds whole texts too. */
  textEncoder2: CLIPTextModelWithProjection;
  /** Of textEncoder; the refiner has none. */
  tokenizer?: CLIPTokenizer | undefined;
  /** Of textEncoder2. */
  tokenizer2: CLIPTokenizer;
  /** Predicts the noise. */
  unet: UNet2DConditionModel;
  /** Steps from noise to latents. */
  scheduler: Scheduler;
  /** Prompts without a negative one are set against zeros instead of the embedding of ""; true by default. */
  forceZerosForEmptyPrompt?: boolean | undefined;
  /** The model is told an aesthetic score instead of the target size, as the refiner is; false by default. */
  requiresAestheticsScore?: boolean | undefined;
}

const TOKENIZERS = ["CLIPTokenizer", "CLIPTokenizerFast"];

/** Opens the parts of a Stable Diffusion XL repository; their weights come when they are needed. */
export async function loadPartsXL(
  pathOrRepo: string,
  options: PipelineOptions,
): Promise<StableDiffusionXLParts> {
  const { index, memory, from, scheduler } = await openPipeline(pathOrRepo, options, {
    vae: ["AutoencoderKL"],
    unet: ["UNet2DConditionModel"],
    text_encoder_2: ["CLIPTextModelWithProjection"],
    tokenizer_2: TOKENIZERS,
  });
  const parts: StableDiffusionXLParts = {
    ...readSwitches(index),
    tokenizer2: await CLIPTokenizer.fromPretrained(pathOrRepo, from("tokenizer_2")),
    scheduler,
    textEncoder2: await openPart(CLIPTextModelWithProjection, pathOrRepo, from("text_encoder_2")),
    unet: await openPart(UNet2DConditionModel, pathOrRepo, from("unet")),
    vae: await openPart(AutoencoderKL, pathOrRepo, from("vae")),
    memory,
  };
  if ("text_encoder" in index.components) {
    expectComponent(index, "text_encoder", ["CLIPTextModel"]);
    expectComponent(index, "tokenizer", TOKENIZERS);
    parts.tokenizer = await CLIPTokenizer.fromPretrained(pathOrRepo, from("tokenizer"));
    parts.textEncoder = await openPart(CLIPTextModel, pathOrRepo, from("text_encoder"));
  }
  tellPlan(parts, pathOrRepo, options);
  return parts;
}

const switches = z.looseObject({
  force_zeros_for_empty_prompt: z.boolean().default(true),
  requires_aesthetics_score: z.boolean().default(false),
});

/** What model_index.json says beside the parts. */
function readSwitches(
  { json }: PipelineIndex,
): Pick<StableDiffusionXLParts, "forceZerosForEmptyPrompt" | "requiresAestheticsScore"> {
  const read = parseConfig(switches, json, "model_index.json");
  return {
    forceZerosForEmptyPrompt: read.force_zeros_for_empty_prompt,
    requiresAestheticsScore: read.requires_aesthetics_score,
  };
}
