import { AutoencoderKL, CLIPTextModel, UNet2DConditionModel } from "../../models/mod.ts";
import type { Scheduler } from "../../schedulers/mod.ts";
import { CLIPTokenizer } from "../../tokenizers/mod.ts";
import { openPart, openPipeline, tellPlan } from "../open_parts.ts";
import type { PipelineOptions } from "../run.ts";
import type { Residents } from "../memory/residency.ts";

/** What Stable Diffusion is made of; pipelines may share parts. */
export interface StableDiffusionParts extends Residents {
  /** Between pictures and latents. */
  vae: AutoencoderKL;
  /** Makes embeddings of tokens. */
  textEncoder: CLIPTextModel;
  /** Cuts prompts into tokens. */
  tokenizer: CLIPTokenizer;
  /** Predicts the noise. */
  unet: UNet2DConditionModel;
  /** May be exchanged between runs. */
  scheduler: Scheduler;
}

/** Opens the parts of a Stable Diffusion repository; their weights come when they are needed. */
export async function loadParts(
  pathOrRepo: string,
  options: PipelineOptions,
): Promise<StableDiffusionParts> {
  const { memory, from, scheduler } = await openPipeline(pathOrRepo, options, {
    vae: ["AutoencoderKL"],
    unet: ["UNet2DConditionModel"],
    text_encoder: ["CLIPTextModel"],
    tokenizer: ["CLIPTokenizer", "CLIPTokenizerFast"],
  });
  const parts = {
    tokenizer: await CLIPTokenizer.fromPretrained(pathOrRepo, from("tokenizer")),
    scheduler,
    textEncoder: await openPart(CLIPTextModel, pathOrRepo, from("text_encoder")),
    unet: await openPart(UNet2DConditionModel, pathOrRepo, from("unet")),
    vae: await openPart(AutoencoderKL, pathOrRepo, from("vae")),
    memory,
  };
  tellPlan(parts, pathOrRepo, options);
  return parts;
}
