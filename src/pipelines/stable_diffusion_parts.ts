import { AutoencoderKL, CLIPTextModel, UNet2DConditionModel } from "../models/mod.ts";
import { type Scheduler, schedulerClasses } from "../schedulers/mod.ts";
import { CLIPTokenizer } from "../tokenizers/mod.ts";
import { expectComponent, type PipelineOptions, readIndex } from "./pipeline.ts";

/** What Stable Diffusion is made of; pipelines may share parts. */
export interface StableDiffusionParts {
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

/** Loads the parts of a Stable Diffusion repository. */
export async function loadParts(
  pathOrRepo: string,
  options: PipelineOptions,
): Promise<StableDiffusionParts> {
  const index = await readIndex(pathOrRepo, options);
  const from = (subfolder: string) => ({ ...options, revision: index.commit ?? options.revision, subfolder });
  expectComponent(index, "vae", ["AutoencoderKL"]);
  expectComponent(index, "unet", ["UNet2DConditionModel"]);
  expectComponent(index, "text_encoder", ["CLIPTextModel"]);
  expectComponent(index, "tokenizer", ["CLIPTokenizer", "CLIPTokenizerFast"]);
  const scheduler = schedulerClasses[expectComponent(index, "scheduler", Object.keys(schedulerClasses))];
  return {
    tokenizer: await CLIPTokenizer.fromPretrained(pathOrRepo, from("tokenizer")),
    scheduler: await scheduler.fromPretrained(pathOrRepo, from("scheduler")),
    textEncoder: await CLIPTextModel.fromPretrained(pathOrRepo, from("text_encoder")),
    unet: await UNet2DConditionModel.fromPretrained(pathOrRepo, from("unet")),
    vae: await AutoencoderKL.fromPretrained(pathOrRepo, from("vae")),
  };
}

/** Frees the models among the parts. */
export function freeParts({ vae, textEncoder, unet }: StableDiffusionParts): void {
  for (const model of [vae, textEncoder, unet]) model[Symbol.dispose]();
}
