import type { Tensor } from "../../tensor/mod.ts";
import { type ChangedSizeOptions, noisedLatents, readOriginal } from "../latents/init_image.ts";
import { beginInpainting, readMask, seesMask } from "../latents/inpainting.ts";
import type { LatentOutput } from "../latents/loop.ts";
import { latentSize, type SizeOptions, startNoise, type StartNoiseOptions } from "../size.ts";
import {
  type IPAdapterOptions,
  type IPAdapterScale,
  loadIpAdapter,
  setIpAdapterScale,
  unloadIpAdapter,
} from "../ip_adapter.ts";
import type { PipelineOptions } from "../model_index.ts";
import { Pipeline } from "../pipeline.ts";
import type { PooledPromptEmbeds } from "../prompts.ts";
import { ownRun } from "../run.ts";
import { expectEncodeOptions } from "../run_options.ts";
import {
  loadTextualInversion,
  type TextualInversionOptions,
  unloadTextualInversion,
} from "../textual_inversion.ts";
import { embedPrompts, ownEmbeddings } from "../stable_diffusion/prompts.ts";
import { beginRun, type ControlTask, draw, expectPlainUNet, type UNetRun } from "../stable_diffusion/run.ts";
import {
  type DenoisingRangeOptions,
  type DenoisingStartOptions,
  timestepsWithin,
} from "./denoising_range.ts";
import { openPartsXL, type StableDiffusionXLParts } from "./parts.ts";
import { clipEncoders, type EncodeOptionsXL, type StableDiffusionXLOptions, textPartsOf } from "./prompts.ts";
import { type AestheticOptions, changeTimeIdRows, type MicroConditionOptions, timeIdRows } from "./sizes.ts";

/** The parts and the prompts of all pipelines of Stable Diffusion XL. */
export abstract class StableDiffusionXLBase<Parts extends StableDiffusionXLParts = StableDiffusionXLParts>
  extends Pipeline<Parts> {
  /** The parts of a folder, a repository or a single file; the models' weights are loaded when they are needed. */
  static async open(pathOrRepo: string, options: PipelineOptions): Promise<[StableDiffusionXLParts]> {
    return [await openPartsXL(pathOrRepo, options)];
  }

  /**
   * Embeds prompts, a row for each picture, as `run` takes them in their place:
   * `run({ ...await pipeline.encodePrompt({ prompt }) })`.
   */
  async encodePrompt(options: EncodeOptionsXL): Promise<Required<PooledPromptEmbeds>> {
    expectEncodeOptions("StableDiffusionXLPipeline", options);
    const encoder = clipEncoders(this.parts, options);
    const embedded = await embedPrompts(this.parts, options, true, encoder);
    const [uncond, cond] = [ownEmbeddings(embedded.uncond!), ownEmbeddings(embedded.cond)];
    return {
      promptEmbeds: cond.states,
      negativePromptEmbeds: uncond.states,
      pooledPromptEmbeds: cond.pooled!,
      negativePooledPromptEmbeds: uncond.pooled!,
    };
  }

  /**
   * Adds a textual inversion, whose token may then stand in prompts: a file, a folder or a repository of the hub, e.g.
   * "sd-concepts-library/cat-toy"; `weightName` names the file where there are several. Returns the token.
   */
  async loadTextualInversion(pathOrRepo: string, options: TextualInversionOptions = {}): Promise<string> {
    return await loadTextualInversion(pathOrRepo, options, textPartsOf(this.parts));
  }

  /** Takes a token out that `loadTextualInversion` added. */
  unloadTextualInversion(token: string): void {
    unloadTextualInversion(token, textPartsOf(this.parts));
  }

  /**
   * Adds an IP-Adapter, by which pictures stand beside the prompt: a file, a folder or a repository of the hub, e.g.
   * `loadIpAdapter("h94/IP-Adapter", { subfolder: "models", weightName: "ip-adapter_sd15.safetensors" })`; `run` then
   * takes `ipAdapterImage`.
   */
  async loadIpAdapter(pathOrRepo: string, options: IPAdapterOptions = {}): Promise<void> {
    await loadIpAdapter(this.parts, pathOrRepo, options);
  }

  /** Sets how strongly pictures count: one scale for all IP-Adapters, or one each; by module path where it is a record. */
  setIpAdapterScale(scale: IPAdapterScale | readonly IPAdapterScale[]): void {
    setIpAdapterScale(this.parts, scale);
  }

  /** Takes all IP-Adapters off, and frees them. */
  unloadIpAdapter(): void {
    unloadIpAdapter(this.parts);
  }

  /** Draws pictures. */
  abstract run(options: StableDiffusionXLOptions): Promise<LatentOutput>;
}

function begin(
  parts: StableDiffusionXLParts,
  options: StableDiffusionXLOptions,
  usualScale = 5,
): Promise<UNetRun> {
  return beginRun(parts, options, clipEncoders(parts, options), usualScale);
}

/** Options of `StableDiffusionXLPipeline.run`. */
export interface StableDiffusionXLRunOptions
  extends
    StableDiffusionXLOptions,
    SizeOptions,
    MicroConditionOptions,
    DenoisingRangeOptions,
    StartNoiseOptions {}

/** Draws pictures of prompts. */
export async function fromNoise(
  parts: StableDiffusionXLParts,
  options: StableDiffusionXLRunOptions,
  controlling?: ControlTask,
): Promise<LatentOutput> {
  const { unet, vae, scheduler } = parts;
  expectPlainUNet(parts, "StableDiffusionXLInpaintPipeline");
  const [h, w] = latentSize(parts, options);
  using begun = await begin(parts, options);
  const timeIds = timeIdRows(options, [h * vae.scaleFactor, w * vae.scaleFactor], begun);
  const timesteps = timestepsWithin(scheduler, options);
  const control = await controlling?.(begun, timesteps, [h, w]);
  const start = startNoise(scheduler, begun, [begun.B, unet.config.in_channels, h, w], options);
  return await draw(parts, begun, { start, timesteps, timeIds, control });
}

/** Pictures from texts by Stable Diffusion XL (Podell et al. 2023, https://arxiv.org/abs/2307.01952). */
export class StableDiffusionXLPipeline extends StableDiffusionXLBase {
  /** Draws pictures of prompts. */
  async run(options: StableDiffusionXLRunOptions): Promise<LatentOutput> {
    return await ownRun("StableDiffusionXLPipeline", this.parts, options, fromNoise);
  }
}

/** Options of `StableDiffusionXLImg2ImgPipeline.run`. */
export interface StableDiffusionXLImg2ImgRunOptions
  extends
    StableDiffusionXLOptions,
    MicroConditionOptions,
    AestheticOptions,
    DenoisingStartOptions,
    ChangedSizeOptions {
  /**
   * The picture to change, in [0, 1]: one for all, or one for each that is drawn [1 or B, 3, H, W]; or its
   * latents, as another run left them [1 or B, C, H / 8, W / 8].
   */
  image: Tensor;
  /** Share of it that is replaced: near 0 little, 1 all. By default 0.3. */
  strength?: number | undefined;
}

/** Draws a changed picture. Random numbers go to its latents first, then to the noise, as in diffusers. */
export async function fromImage(
  parts: StableDiffusionXLParts,
  options: StableDiffusionXLImg2ImgRunOptions,
  controlling?: ControlTask,
  usualStrength = 0.3,
): Promise<LatentOutput> {
  const { vae, scheduler } = parts;
  const { image, strength = usualStrength, denoisingStart } = options;
  expectPlainUNet(parts, "StableDiffusionXLInpaintPipeline");
  using begun = await begin(parts, options);
  const timesteps = timestepsWithin(scheduler, options, strength);

  const original = await readOriginal(image, begun, vae, options);
  const control = await controlling?.(begun, timesteps, original.size);
  const timeIds = changedTimeIds(parts, options, original.size, begun);
  const t = denoisingStart === undefined ? timesteps[0] : undefined; // else it has its noise
  const start = await noisedLatents(parts, original, begun, t, options);
  return await draw(parts, begun, { start, timesteps, timeIds, control });
}

/** Pictures from a picture and a text, with the base model of Stable Diffusion XL or with its refiner. */
export class StableDiffusionXLImg2ImgPipeline extends StableDiffusionXLBase {
  /** Draws a changed picture. Random numbers go to its latents first, then to the noise, as in diffusers. */
  async run(options: StableDiffusionXLImg2ImgRunOptions): Promise<LatentOutput> {
    return await ownRun("StableDiffusionXLImg2ImgPipeline", this.parts, options, fromImage);
  }
}

/**
 * Options of `StableDiffusionXLInpaintPipeline.run`; `strength` is 0.9999 and `guidanceScale` 7.5 by default.
 */
export interface StableDiffusionXLInpaintRunOptions extends StableDiffusionXLImg2ImgRunOptions {
  /**
   * The picture is drawn anew where this is 0.5 or more. It is resized to the picture; of colours the luma counts.
   * [1 or as many as pictures are given, 1 or 3, H, W]
   */
  mask: Tensor;
}

/** Draws what the mask shows. Random numbers are drawn in the order of diffusers. */
export async function withinMask(
  parts: StableDiffusionXLParts,
  options: StableDiffusionXLInpaintRunOptions,
  controlling?: ControlTask,
): Promise<LatentOutput> {
  const { vae, scheduler } = parts;
  const { strength = 0.9999, denoisingStart } = options;
  const sees = seesMask(parts);
  using begun = await begin(parts, options, 7.5);
  const timesteps = timestepsWithin(scheduler, options, strength);

  const original = await readOriginal(options.image, begun, vae, options);
  const control = await controlling?.(begun, timesteps, original.size);
  const mask = await readMask(options.mask, original, vae.scaleFactor, begun);
  const timeIds = changedTimeIds(parts, options, original.size, begun);

  const from = denoisingStart !== undefined ? "original" : strength === 1 ? "noise" : "noised";
  const task = { original, mask, run: begun, timesteps, from, sees } as const;
  const inpainting = await beginInpainting(parts, task, options);
  return await draw(parts, begun, { ...inpainting, timesteps, timeIds, control });
}

/**
 * Draws parts of a picture anew with Stable Diffusion XL: with models of nine input channels, which see the
 * mask and the rest, or with any model, the rest being put back after each step.
 */
export class StableDiffusionXLInpaintPipeline extends StableDiffusionXLBase {
  /** Draws what the mask shows. Random numbers are drawn in the order of diffusers. */
  async run(options: StableDiffusionXLInpaintRunOptions): Promise<LatentOutput> {
    return await ownRun("StableDiffusionXLInpaintPipeline", this.parts, options, withinMask);
  }
}

/** Rows of the UNet's timeIds where a picture with latents of such sides is changed. */
function changedTimeIds(
  { vae: { scaleFactor }, requiresAestheticsScore = false }: StableDiffusionXLParts,
  options: MicroConditionOptions & AestheticOptions,
  [h, w]: readonly [h: number, w: number],
  run: UNetRun,
): number[][] {
  return changeTimeIdRows(options, [h * scaleFactor, w * scaleFactor], run, requiresAestheticsScore);
}
