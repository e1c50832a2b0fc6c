import { cat, release, type Tensor } from "../../tensor/mod.ts";
import { guidanceEmbedding, isGuided, tellUnguided } from "../latents/guidance.ts";
import {
  decodeLatents,
  denoise,
  expectNumber,
  type LatentLoop,
  type LatentLoopOptions,
  type LatentOutput,
} from "../latents/loop.ts";
import { embedTold, inOneBatch, type PromptOptions } from "./prompts.ts";
import { prepareColors } from "../previews/fit.ts";
import { withModels } from "../memory/residency.ts";
import { tellMisfits } from "../latents/scheduler_fit.ts";
import type { StableDiffusionParts } from "./parts.ts";
import type { StableDiffusionXLParts } from "../stable_diffusion_xl/parts.ts";

/** What every Stable Diffusion pipeline may be told, with diffusers' defaults. */
export interface StableDiffusionOptions extends LatentLoopOptions, PromptOptions {
  /** Steps of the scheduler; 50 by default. */
  numInferenceSteps?: number | undefined;
}

/** What a run begins with. */
export interface StableDiffusionRun {
  /** Of the prompts, under guidance behind those of the negative ones. [B or 2 B, N, D] */
  readonly embeddings: Tensor;
  /** Pictures. */
  readonly B: number;
  /** Whether the model runs on the negative prompts too. */
  readonly guided: boolean;
  /** Of models that are told the scale of guidance instead. [B, time_cond_proj_dim] */
  readonly timestepCond?: Tensor | undefined;
  /** The options with their defaults. */
  readonly options: StableDiffusionOptions & { guidanceScale: number };
}

/** Checks the options, sets the timesteps and embeds the prompts. */
export async function beginRun(
  parts: StableDiffusionParts,
  options: StableDiffusionOptions,
): Promise<StableDiffusionRun> {
  const { numInferenceSteps = 50, guidanceScale = 7.5, guidanceRescale = 0 } = options;
  expectNumber("guidanceScale", guidanceScale);
  expectNumber("guidanceRescale", guidanceRescale);
  const { addition_embed_type } = parts.unet.config;
  if (addition_embed_type !== null) {
    throw new TypeError(
      `Cannot draw with this UNet: expected no addition_embed_type, got "${addition_embed_type}"; ` +
        "StableDiffusionXLPipeline takes such models",
    );
  }
  const guided = isGuided(guidanceScale, parts.unet);
  tellUnguided(guided, options);
  tellMisfits(parts, { flow: false, latents: true }, options.onNotice);
  parts.scheduler.setTimesteps(numInferenceSteps);
  const embedded = await embedTold(parts, options, guided);
  const [B] = embedded.told.shape as [number];
  return {
    embeddings: inOneBatch(embedded),
    B,
    guided,
    timestepCond: guidanceEmbedding(guidanceScale, B, parts.unet),
    options: { ...options, guidanceScale },
  };
}

/** What is drawn with a run's options. */
export interface Drawing extends Pick<LatentLoop, "after"> {
  /** Latents with noise. */
  start: Tensor;
  timesteps: readonly number[];
  /** What the UNet takes instead of latents alone. */
  extend?: ((input: Tensor) => Tensor) | undefined;
  /** What is not used any more when the loop is over. */
  owned?: readonly Tensor[] | undefined;
}

/** Draws pictures from latents with noise. */
export async function draw(
  parts: StableDiffusionParts,
  { embeddings, guided, timestepCond, options }: StableDiffusionRun,
  drawing: Drawing,
): Promise<LatentOutput> {
  const predict = (input: Tensor, t: number) =>
    parts.unet.forward(input, t, embeddings, { timestepCond }).sample;
  return await drawBy(predict, parts, { guided, options, told: [embeddings, timestepCond] }, drawing);
}

/** The same by a family's predictions of the noise, with `told`, which they read and nothing else will. */
export async function drawBy(
  predict: LatentLoop["predict"],
  parts: StableDiffusionParts | StableDiffusionXLParts,
  { guided, options, told }: {
    guided: boolean;
    options: LatentLoopOptions & { guidanceScale: number };
    told: readonly (Tensor | undefined)[];
  },
  { start, timesteps, extend = (input) => input, after, owned = [] }: Drawing,
): Promise<LatentOutput> {
  const { unet, vae, scheduler } = parts;
  const extended = (input: Tensor, t: number) => predict(extend(input), t);
  if (options.preview) await prepareColors(parts, options);
  const work = () => extended(guided ? cat([start, start]) : start, timesteps[0]!);
  const loop = { scheduler, vae, guided, predict: extended, after };
  const latents = await withModels(
    parts,
    [unet],
    { ...options, work },
    () => denoise(start, timesteps, loop, options),
  );
  release(...told, ...owned);
  return await decodeLatents(parts, latents, options);
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
