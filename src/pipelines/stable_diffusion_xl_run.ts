import type { Tensor } from "../tensor/mod.ts";
import {
  decodeLatents,
  denoise,
  expectNumber,
  isGuided,
  type LatentLoopOptions,
  type LatentOutput,
} from "./latent_loop.ts";
import { expectCount } from "./pipeline.ts";
import type { StableDiffusionXLParts } from "./stable_diffusion_xl_parts.ts";
import {
  embedPromptsXL,
  type PromptEmbeddings,
  type StableDiffusionXLPromptOptions,
} from "./stable_diffusion_xl_prompts.ts";

/** What the pipelines of Stable Diffusion XL may be told, with diffusers' defaults. */
export interface StableDiffusionXLOptions extends LatentLoopOptions, StableDiffusionXLPromptOptions {
  /** 50 by default. */
  numInferenceSteps?: number;
  /** How closely the picture follows the prompt; 1 and less leaves guidance out. 5 by default. */
  guidanceScale?: number;
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
export function beginRunXL(parts: StableDiffusionXLParts, options: StableDiffusionXLOptions): RunXL {
  const { guidanceScale = 5, guidanceRescale = 0, numImagesPerPrompt = 1, numInferenceSteps = 50 } = options;
  expectNumber("guidanceScale", guidanceScale);
  expectNumber("guidanceRescale", guidanceRescale);
  expectCount("numImagesPerPrompt", numImagesPerPrompt);
  const [channels, latentChannels] = [parts.unet.config.in_channels, parts.vae.config.latent_channels];
  if (channels !== latentChannels) {
    throw new RangeError(
      `Cannot draw with a UNet of ${channels} channels: expected ${latentChannels}, those of the VAE`,
    );
  }
  const guided = isGuided(guidanceScale);
  const embeddings = embedPromptsXL(parts, options, guided);
  parts.scheduler.setTimesteps(numInferenceSteps);
  const B = embeddings.states.shape[0] / (guided ? 2 : 1);
  return { options: { ...options, guidanceScale }, guided, embeddings, B };
}

/** Draws pictures from latents with noise. `timeIds` has a row a picture; with guidance the negative ones come first. */
export async function drawXL(
  { unet, vae, scheduler }: StableDiffusionXLParts,
  { options, embeddings }: RunXL,
  { start, timesteps, timeIds }: {
    start: Tensor;
    timesteps: readonly number[];
    timeIds: readonly (readonly number[])[];
  },
): Promise<LatentOutput> {
  const addedCond = { textEmbeds: embeddings.pooled, timeIds };
  const predict = (input: Tensor, t: number) =>
    unet.forward(input, t, embeddings.states, { addedCond }).sample;
  const latents = await denoise(start, timesteps, { scheduler, predict }, options);
  return await decodeLatents(vae, latents, options);
}
