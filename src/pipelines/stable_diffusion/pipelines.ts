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
import { openParts } from "../open_parts.ts";
import { Pipeline } from "../pipeline.ts";
import { ownRun } from "../run.ts";
import { expectEncodeOptions } from "../run_options.ts";
import {
  loadTextualInversion,
  type TextualInversionOptions,
  unloadTextualInversion,
} from "../textual_inversion.ts";
import { PARTS, type StableDiffusionParts } from "./parts.ts";
import { clipEncoder, embedPrompts, type EncodeOptions, ownEmbeddings } from "./prompts.ts";
import {
  beginRun,
  type ControlTask,
  draw,
  expectPlainUNet,
  type StableDiffusionOptions,
  type UNetRun,
} from "./run.ts";

/** The parts and the prompts of all pipelines of Stable Diffusion. */
export abstract class StableDiffusionBase<Parts extends StableDiffusionParts = StableDiffusionParts>
  extends Pipeline<Parts> {
  /** The parts of a folder, a repository or a single file; the models' weights are loaded when they are needed. */
  static async open(pathOrRepo: string, options: PipelineOptions): Promise<[StableDiffusionParts]> {
    return [await openParts(pathOrRepo, options, PARTS)];
  }

  /**
   * Embeds prompts, a row for each picture, as `run` takes them in their place:
   * `run({ ...await pipeline.encodePrompt({ prompt }) })`.
   */
  async encodePrompt(
    options: EncodeOptions,
  ): Promise<{ promptEmbeds: Tensor; negativePromptEmbeds: Tensor }> {
    expectEncodeOptions("StableDiffusionPipeline", options);
    const encoder = clipEncoder(this.parts, options);
    const { uncond, cond } = await embedPrompts(this.parts, options, true, encoder);
    return { promptEmbeds: ownEmbeddings(cond).states, negativePromptEmbeds: ownEmbeddings(uncond!).states };
  }

  /**
   * Adds a textual inversion, whose token may then stand in prompts: a file, a folder or a repository of the hub, e.g.
   * "sd-concepts-library/cat-toy"; `weightName` names the file where there are several. Returns the token.
   */
  async loadTextualInversion(pathOrRepo: string, options: TextualInversionOptions = {}): Promise<string> {
    return await loadTextualInversion(pathOrRepo, options, [this.parts]);
  }

  /** Takes a token out that `loadTextualInversion` added. */
  unloadTextualInversion(token: string): void {
    unloadTextualInversion(token, [this.parts]);
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
  abstract run(options: StableDiffusionOptions): Promise<LatentOutput>;
}

function begin(parts: StableDiffusionParts, options: StableDiffusionOptions): Promise<UNetRun> {
  return beginRun(parts, options, clipEncoder(parts, options), 7.5);
}

/** Options of `StableDiffusionPipeline.run`. */
export interface StableDiffusionRunOptions extends StableDiffusionOptions, SizeOptions, StartNoiseOptions {}

/** Draws pictures of prompts. */
export async function fromNoise(
  parts: StableDiffusionParts,
  options: StableDiffusionRunOptions,
  controlling?: ControlTask,
): Promise<LatentOutput> {
  const { unet, scheduler } = parts;
  expectPlainUNet(parts, "StableDiffusionInpaintPipeline");
  const size = latentSize(parts, options);
  using begun = await begin(parts, options);
  const { timesteps } = scheduler;
  const control = await controlling?.(begun, timesteps, size);
  const start = startNoise(scheduler, begun, [begun.B, unet.config.in_channels, ...size], options);
  return await draw(parts, begun, { start, timesteps, control });
}

/**
 * Pictures from texts in the latent space of an autoencoder (Rombach et al. 2022,
 * https://arxiv.org/abs/2112.10752).
 */
export class StableDiffusionPipeline extends StableDiffusionBase {
  /** Draws pictures of prompts. */
  async run(options: StableDiffusionRunOptions): Promise<LatentOutput> {
    return await ownRun("StableDiffusionPipeline", this.parts, options, fromNoise);
  }
}

/** Options of `StableDiffusionImg2ImgPipeline.run`. */
export interface StableDiffusionImg2ImgRunOptions extends StableDiffusionOptions, ChangedSizeOptions {
  /**
   * The picture to change, in [0, 1]: one for all, or one for each that is drawn [1 or B, 3, H, W]; or its
   * latents as another run left them [1 or B, C, H / 8, W / 8].
   */
  image: Tensor;
  /** Share of it that is replaced: near 0 little, 1 all. By default 0.8. */
  strength?: number | undefined;
}

/** Draws a changed picture. Random numbers go to its latents first, then to the noise, as in diffusers. */
export async function fromImage(
  parts: StableDiffusionParts,
  options: StableDiffusionImg2ImgRunOptions,
  controlling?: ControlTask,
): Promise<LatentOutput> {
  const { vae, scheduler } = parts;
  const { image, strength = 0.8 } = options;
  expectPlainUNet(parts, "StableDiffusionInpaintPipeline");
  using begun = await begin(parts, options);
  const timesteps = scheduler.sliceByStrength(strength);

  const original = await readOriginal(image, begun, vae, options);
  const control = await controlling?.(begun, timesteps, original.size);
  const start = await noisedLatents(parts, original, begun, timesteps[0], options);
  return await draw(parts, begun, { start, timesteps, control });
}

/** Pictures from a picture and a text (Meng et al. 2021, https://arxiv.org/abs/2108.01073). */
export class StableDiffusionImg2ImgPipeline extends StableDiffusionBase {
  /** Draws a changed picture. Random numbers go to its latents first, then to the noise, as in diffusers. */
  async run(options: StableDiffusionImg2ImgRunOptions): Promise<LatentOutput> {
    return await ownRun("StableDiffusionImg2ImgPipeline", this.parts, options, fromImage);
  }
}

/** Options of `StableDiffusionInpaintPipeline.run`; `strength` is 1 by default. */
export interface StableDiffusionInpaintRunOptions extends StableDiffusionImg2ImgRunOptions {
  /**
   * The picture is drawn anew where this is 0.5 or more. It is resized to the picture; of colours the luma counts.
   * [1 or as many as pictures are given, 1 or 3, H, W]
   */
  mask: Tensor;
}

/** Draws what the mask shows. Random numbers are drawn in the order of diffusers. */
export async function withinMask(
  parts: StableDiffusionParts,
  options: StableDiffusionInpaintRunOptions,
  controlling?: ControlTask,
): Promise<LatentOutput> {
  const { vae, scheduler } = parts;
  const { strength = 1 } = options;
  const sees = seesMask(parts);
  using begun = await begin(parts, options);
  const timesteps = scheduler.sliceByStrength(strength);

  const original = await readOriginal(options.image, begun, vae, options);
  const control = await controlling?.(begun, timesteps, original.size);
  const mask = await readMask(options.mask, original, vae.scaleFactor, begun);
  const from = strength === 1 ? "noise" : "noised";
  const task = { original, mask, run: begun, timesteps, from, sees } as const;
  const inpainting = await beginInpainting(parts, task, options);
  return await draw(parts, begun, { ...inpainting, timesteps, control });
}

/**
 * Draws parts of a picture anew (Lugmayr et al. 2022, https://arxiv.org/abs/2201.09865): with models of nine
 * input channels, which see the mask and the rest, or with any model, the rest being put back after each
 * step.
 */
export class StableDiffusionInpaintPipeline extends StableDiffusionBase {
  /** Draws what the mask shows. Random numbers are drawn in the order of diffusers. */
  async run(options: StableDiffusionInpaintRunOptions): Promise<LatentOutput> {
    return await ownRun("StableDiffusionInpaintPipeline", this.parts, options, withinMask);
  }
}
