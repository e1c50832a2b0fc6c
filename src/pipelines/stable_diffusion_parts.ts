import { AutoencoderKL, CLIPTextModel, UNet2DConditionModel } from "../models/mod.ts";
import { type Scheduler, schedulerClasses } from "../schedulers/mod.ts";
import { CLIPTokenizer } from "../tokenizers/mod.ts";
import { openPart, tellPlan } from "./open_part.ts";
import { expectComponent, type PipelineOptions, readIndex } from "./pipeline.ts";
import { memoryBudget, type Residents } from "./residency.ts";

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
  const index = await readIndex(pathOrRepo, options);
  const memory = await memoryBudget(options);
  const source = { ...options, revision: index.commit ?? options.revision, memory };
  const from = (subfolder: string) => ({ ...source, subfolder });
  expectComponent(index, "vae", ["AutoencoderKL"]);
  expectComponent(index, "unet", ["UNet2DConditionModel"]);
  expectComponent(index, "text_encoder", ["CLIPTextModel"]);
  expectComponent(index, "tokenizer", ["CLIPTokenizer", "CLIPTokenizerFast"]);
  const scheduler = schedulerClasses[expectComponent(index, "scheduler", Object.keys(schedulerClasses))];
  const parts = {
    tokenizer: await CLIPTokenizer.fromPretrained(pathOrRepo, from("tokenizer")),
    scheduler: await scheduler.fromPretrained(pathOrRepo, from("scheduler")),
    textEncoder: await openPart(CLIPTextModel, pathOrRepo, from("text_encoder")),
    unet: await openPart(UNet2DConditionModel, pathOrRepo, from("unet")),
    vae: await openPart(AutoencoderKL, pathOrRepo, from("vae")),
    memory,
  };
  tellPlan(parts, pathOrRepo, options);
  return parts;
}

/** Frees the models among the parts. */
export function freeParts({ vae, textEncoder, unet }: StableDiffusionParts): void {
  for (const model of [vae, textEncoder, unet]) model[Symbol.dispose]();
}
