import { scope, type Tensor } from "../../tensor/mod.ts";
import { sliceFlowByStrength } from "../latents/flow.ts";
import {
  type ChangedSizeOptions,
  noisedLatents,
  type Original,
  originalSize,
  readOriginal,
} from "../latents/init_image.ts";
import { beginInpainting, readMask } from "../latents/inpainting.ts";
import type { LatentOutput } from "../latents/loop.ts";
import type { PipelineOptions } from "../model_index.ts";
import { openParts } from "../open_parts.ts";
import { Pipeline } from "../pipeline.ts";
import { ownRun } from "../run.ts";
import { expectEncodeOptions } from "../run_options.ts";
import { type SizeOptions, startNoise, type StartNoiseOptions } from "../size.ts";
import { PARTS, type ZImageParts } from "./parts.ts";
import { type Captions, embedPrompts, rowsOf, type ZImageEncodeOptions } from "./prompts.ts";
import { beginRun, draw, latentSize, type ZImageOptions, type ZImageRun } from "./run.ts";

/** Embeddings of prompts under the names of the options of `run`. */
export interface ZImagePromptEmbeds {
  /** [B, N, D] */
  promptEmbeds: Tensor;
  /** Tokens of each row that count. [B] */
  promptLengths: readonly number[];
  /** [B, N, D] */
  negativePromptEmbeds: Tensor;
  /** Tokens of each row that count. [B] */
  negativePromptLengths: readonly number[];
}

/** The parts and the prompts of all pipelines of Z-Image. */
export abstract class ZImageBase<Parts extends ZImageParts = ZImageParts> extends Pipeline<Parts> {
  /** The parts of a folder, a repository or a single file; the models' weights are loaded when they are needed. */
  static async open(pathOrRepo: string, options: PipelineOptions): Promise<[ZImageParts]> {
    return [await openParts(pathOrRepo, options, PARTS)];
  }

  /**
   * Embeds prompts and negative ones, "" by default, a row for each picture, as `run` takes them in their place:
   * `run({ ...await pipeline.encodePrompt({ prompt }) })`.
   */
  async encodePrompt(options: ZImageEncodeOptions): Promise<ZImagePromptEmbeds> {
    expectEncodeOptions("ZImagePipeline", options);
    const both = await embedPrompts(this.parts, options, true);
    const B = both.lengths.length / 2;
    using made = scope(both.states);
    const own = (first: number): Captions => {
      const { states, lengths } = rowsOf(both, first, first + B);
      return { states: made.keep(states.clone()), lengths };
    };
    const [uncond, cond] = [own(0), own(B)];
    return {
      promptEmbeds: cond.states,
      promptLengths: cond.lengths,
      negativePromptEmbeds: uncond.states,
      negativePromptLengths: uncond.lengths,
    };
  }

  /** Draws pictures. */
  abstract run(options: ZImageOptions): Promise<LatentOutput>;
}

/** Options of `ZImagePipeline.run`; sides are 1024 pixels by default. */
export interface ZImageRunOptions extends ZImageOptions, SizeOptions, StartNoiseOptions {}

/**
 * Pictures from texts by Z-Image, a transformer that follows a flow from noise (Cai et al. 2025,
 * https://arxiv.org/abs/2511.22699).
 */
export class ZImagePipeline extends ZImageBase {
  /** Draws pictures of prompts. */
  async run(options: ZImageRunOptions): Promise<LatentOutput> {
    return await ownRun("ZImagePipeline", this.parts, options, async (parts, options) => {
      using run = await beginRun(parts, options, latentSize(parts, options.height, options.width));
      const shape = [run.B, parts.vae.config.latent_channels, ...run.size];
      const start = startNoise(parts.scheduler, run, shape, options);
      return await draw(parts, run, { start, timesteps: parts.scheduler.timesteps });
    });
  }
}

/** Options of `ZImageImg2ImgPipeline.run`. */
export interface ZImageImg2ImgRunOptions extends ZImageOptions, ChangedSizeOptions {
  /**
   * The picture to change, in [0, 1]: one for all, or one for each that is drawn [1 or B, 3, H, W]; or its
   * latents as another run left them [1 or B, C, H / 8, W / 8].
   */
  image: Tensor;
  /** Share of it that is replaced: near 0 little, 1 all. By default 0.6. */
  strength?: number | undefined;
}

/** Pictures from a picture and a text by Z-Image. */
export class ZImageImg2ImgPipeline extends ZImageBase {
  /** Draws a changed picture. Random numbers go to its latents first, then to the noise, as in diffusers. */
  async run(options: ZImageImg2ImgRunOptions): Promise<LatentOutput> {
    return await ownRun("ZImageImg2ImgPipeline", this.parts, options, async (parts, options) => {
      using run = await beginRun(parts, options, changedLatentSize(parts, options));
      const { original, timesteps } = await readChange(parts, run, options, options.strength ?? 0.6);
      const start = await noisedLatents(parts, original, run, timesteps[0], options, "picture");
      return await draw(parts, run, { start, timesteps });
    });
  }
}

/** Options of `ZImageInpaintPipeline.run`; `strength` is 1 by default. */
export interface ZImageInpaintRunOptions extends ZImageImg2ImgRunOptions {
  /**
   * The picture is drawn anew where this is 0.5 or more. It is resized to the picture; of colours the luma counts.
   * [1 or as many as pictures are given, 1 or 3, H, W]
   */
  mask: Tensor;
}

/** Draws parts of a picture anew by Z-Image: the rest is put back after each step. */
export class ZImageInpaintPipeline extends ZImageBase {
  /** Draws what the mask shows. Random numbers are drawn in the order of diffusers. */
  async run(options: ZImageInpaintRunOptions): Promise<LatentOutput> {
    return await ownRun("ZImageInpaintPipeline", this.parts, options, async (parts, options) => {
      using run = await beginRun(parts, options, changedLatentSize(parts, options));
      const { original, timesteps } = await readChange(parts, run, options, options.strength ?? 1);
      const mask = await readMask(options.mask, original, parts.vae.scaleFactor, run);
      const task = { original, mask, run, timesteps, from: "noised", sees: false } as const;
      return await draw(parts, run, { ...await beginInpainting(parts, task, options), timesteps });
    });
  }
}

/** Sides of the latents of a picture that is changed. */
function changedLatentSize({ vae }: ZImageParts, options: ZImageImg2ImgRunOptions): [h: number, w: number] {
  return originalSize(options.image, vae, options, 2 * vae.scaleFactor);
}

/** The picture that a run changes, and the timesteps that are left. */
async function readChange(
  { vae, scheduler }: ZImageParts,
  run: ZImageRun,
  options: ZImageImg2ImgRunOptions,
  strength: number,
): Promise<{ original: Original; timesteps: number[] }> {
  const timesteps = sliceFlowByStrength(scheduler, strength, run.steps);
  return { original: await readOriginal(options.image, run, vae, options, 2 * vae.scaleFactor), timesteps };
}
