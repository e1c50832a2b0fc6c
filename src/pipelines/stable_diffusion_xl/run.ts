import type { Tensor } from "../../tensor/mod.ts";
import { guidanceEmbedding, isGuided, tellUnguided } from "../latents/guidance.ts";
import { expectNumber, type LatentLoopOptions, type LatentOutput } from "../latents/loop.ts";
import { drawBy, type Drawing } from "../stable_diffusion/run.ts";
import { tellMisfits } from "../latents/scheduler_fit.ts";
import type { StableDiffusionXLParts } from "./parts.ts";
import {
  embedToldXL,
  inOneBatchXL,
  type PromptEmbeddings,
  type StableDiffusionXLPromptOptions,
} from "./prompts.ts";

/** What the pipelines of Stable Diffusion XL may be told, with diffusers' defaults. */
export interface StableDiffusionXLOptions extends LatentLoopOptions, StableDiffusionXLPromptOptions {
  /** 50 by default. */
  numInferenceSteps?: number | undefined;
  /** How closely the picture follows the prompt; 1 and less leaves guidance out. 5 by default. */
  guidanceScale?: number | undefined;
}

/** Options with their defaults filled in, and what follows from them. */
export interface RunXL {
  options: StableDiffusionXLOptions & { guidanceScale: number };
  guided: boolean;
  embeddings: PromptEmbeddings;
  /** Pictures in all. */
  B: number;
}

/** Checks the options, embeds the prompts and sets the timesteps. */
export async function beginRunXL(
  parts: StableDiffusionXLParts,
  options: StableDiffusionXLOptions,
): Promise<RunXL> {
  const { guidanceScale = 5, guidanceRescale = 0, numInferenceSteps = 50 } = options;
  expectNumber("guidanceScale", guidanceScale);
  expectNumber("guidanceRescale", guidanceRescale);
  if (parts.unet.config.addition_embed_type !== "text_time") {
    throw new TypeError(
      'Cannot draw with this UNet: expected addition_embed_type "text_time", got none; StableDiffusionPipeline takes ' +
        "such models",
    );
  }
  const guided = isGuided(guidanceScale, parts.unet);
  tellUnguided(guided, options);
  tellMisfits(parts, { flow: false, latents: true }, options.onNotice);
  const embedded = await embedToldXL(parts, options, guided);
  const [B] = embedded.told.states.shape as [number];
  const embeddings = inOneBatchXL(embedded);
  parts.scheduler.setTimesteps(numInferenceSteps);
  return { options: { ...options, guidanceScale }, guided, embeddings, B };
}

/** What is drawn with a run's options. */
export interface DrawingXL extends Drawing {
  /** A row a picture; with guidance the negative ones come first. */
  timeIds: readonly (readonly number[])[];
}

/** Draws pictures from latents with noise. */
export async function drawXL(
  parts: StableDiffusionXLParts,
  { options, guided, embeddings, B }: RunXL,
  { timeIds, ...drawing }: DrawingXL,
): Promise<LatentOutput> {
  const addedCond = { textEmbeds: embeddings.pooled, timeIds };
  const timestepCond = guidanceEmbedding(options.guidanceScale, B, parts.unet);
  const predict = (input: Tensor, t: number) =>
    parts.unet.forward(input, t, embeddings.states, { addedCond, timestepCond }).sample;
  const told = [embeddings.states, embeddings.pooled, timestepCond];
  return await drawBy(predict, parts, { guided, options, told }, drawing);
}

/** Throws unless the UNet takes latents alone. */
export function expectPlainUNetXL({ unet, vae }: StableDiffusionXLParts): void {
  const { in_channels } = unet.config;
  const { latent_channels } = vae.config;
  if (in_channels === latent_channels) return;
  throw new RangeError(
    `Cannot draw with a UNet of ${in_channels} channels: expected ${latent_channels}, those of the VAE; ` +
      "StableDiffusionXLInpaintPipeline takes models for inpainting",
  );
}
