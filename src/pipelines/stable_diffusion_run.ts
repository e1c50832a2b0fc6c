import { cat, type Tensor } from "../tensor/mod.ts";
import { expectNumber, isGuided, type LatentLoopOptions } from "./latent_loop.ts";
import { expectCount } from "./pipeline.ts";
import { embedPrompts, pairPrompts, type PromptOptions } from "./prompts.ts";
import type { StableDiffusionParts } from "./stable_diffusion_parts.ts";

/** What every Stable Diffusion pipeline may be told, with diffusers' defaults. */
export interface StableDiffusionOptions extends LatentLoopOptions, PromptOptions {
  /** Steps of the scheduler; 50 by default. */
  numInferenceSteps?: number;
}

/** What a run begins with. */
export interface StableDiffusionRun {
  /** Of the prompts, under guidance behind those of the negative ones. [B or 2 B, N, D] */
  readonly embeddings: Tensor;
  /** Pictures. */
  readonly B: number;
  /** Whether the model runs on the negative prompts too. */
  readonly guided: boolean;
  /** The options with their defaults. */
  readonly options: StableDiffusionOptions & { guidanceScale: number };
}

/** Checks the options, sets the timesteps and embeds the prompts. */
export function beginRun(parts: StableDiffusionParts, options: StableDiffusionOptions): StableDiffusionRun {
  const { numInferenceSteps = 50, guidanceScale = 7.5, guidanceRescale = 0, numImagesPerPrompt = 1 } =
    options;
  expectNumber("guidanceScale", guidanceScale);
  expectNumber("guidanceRescale", guidanceRescale);
  expectCount("numImagesPerPrompt", numImagesPerPrompt);
  const { prompts, negatives } = pairPrompts(options);
  const guided = isGuided(guidanceScale);
  parts.scheduler.setTimesteps(numInferenceSteps);
  return {
    embeddings: embedBoth(parts, prompts, guided ? negatives : [], options),
    B: prompts.length * numImagesPerPrompt,
    guided,
    options: { ...options, guidanceScale },
  };
}

/** Embeddings of the negative prompts, then of the prompts. As in diffusers only the prompts skip layers. */
function embedBoth(
  parts: StableDiffusionParts,
  prompts: readonly string[],
  negatives: readonly string[],
  options: PromptOptions,
): Tensor {
  if (!options.clipSkip || negatives.length === 0) {
    return embedPrompts([...negatives, ...prompts], parts, options);
  }
  const plain = embedPrompts(negatives, parts, { ...options, clipSkip: undefined });
  return cat([plain, embedPrompts(prompts, parts, options)]);
}

/** Throws unless the UNet takes latents alone. */
export function expectPlainUNet({ unet, vae }: StableDiffusionParts): void {
  const { in_channels } = unet.config;
  const { latent_channels } = vae.config;
  if (in_channels === latent_channels) return;
  throw new RangeError(
    `Cannot draw with a UNet of ${in_channels} channels: expected ${latent_channels}, those of the VAE; ` +
      "StableDiffusionInpaintPipeline takes models for inpainting",
  );
}
