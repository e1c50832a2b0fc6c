import { firstNoise } from "../../random/mod.ts";
import { free, scope, type Tensor } from "../../tensor/mod.ts";
import { sliceFlowByStrength } from "../latents/flow.ts";
import {
  type ChangedSizeOptions,
  drawLatents,
  noisedLatents,
  type Original,
  originalSize,
  readOriginal,
} from "../latents/init_image.ts";
import { readMask } from "../latents/inpainting.ts";
import { packLatents } from "../latents/packing.ts";
import { withModels } from "../memory/acquire.ts";
import { ownRun } from "../run.ts";
import { beginPacked, type FluxInpaintRunOptions } from "./inpainting.ts";
import type { FluxParts } from "./parts.ts";
import { FluxBase, type FluxImg2ImgRunOptions } from "./pipelines.ts";
import { beginRun, draw, type FluxOptions, type FluxOutput, type FluxRun, startLatents } from "./run.ts";

/** The picture that FLUX.1 Depth or Canny follows. */
export interface FluxControlImageOption {
  /** Depth, edges or what else the model follows, in [0, 1]: one for all, or one for each that is drawn. [1 or B, 3, H, W] */
  controlImage: Tensor;
}

/** Options of `FluxControlPipeline.run`; guidanceScale is 3.5 by default. Sides are those of the picture that controls. */
export interface FluxControlRunOptions extends FluxOptions, ChangedSizeOptions, FluxControlImageOption {}

/** Pictures from texts that follow another, by FLUX.1 Depth or Canny, which see its latents beside their own. */
export class FluxControlPipeline extends FluxBase {
  /** Draws pictures. Random numbers go to the latents of the picture that controls first, for each row, then to the noise. */
  async run(options: FluxControlRunOptions): Promise<FluxOutput> {
    return await ownRun("FluxControlPipeline", this.parts, options, async (parts, options) => {
      const { controlImage, generator } = options;
      const { vae, scheduler } = parts;
      expectControlImage(controlImage);
      const size = originalSize(controlImage, vae, options, 2 * vae.scaleFactor);
      using run = await beginControlled(parts, options, size, 3.5);
      const beside = await controlLatents(parts, run, options);
      const shape = [run.B, vae.config.latent_channels, ...size];
      const start = await startLatents(parts, run, () => firstNoise(shape, { generator }));
      return await draw(parts, run, { start, timesteps: scheduler.timesteps, beside });
    });
  }
}

/** Options of `FluxControlImg2ImgPipeline.run`; guidanceScale is 7 by default, `strength` 0.6. */
export interface FluxControlImg2ImgRunOptions extends FluxImg2ImgRunOptions, FluxControlImageOption {}

/** Pictures from a picture and a text that follow another, by FLUX.1 Depth or Canny. */
export class FluxControlImg2ImgPipeline extends FluxBase {
  /**
   * Draws a changed picture. The one that controls is resized to it. Random numbers go to the latents of the one that
   * controls, for each row, then to those of the picture, then to the noise.
   */
  async run(options: FluxControlImg2ImgRunOptions): Promise<FluxOutput> {
    return await ownRun("FluxControlImg2ImgPipeline", this.parts, options, async (parts, options) => {
      const { image, controlImage, strength = 0.6 } = options;
      const { vae } = parts;
      const multiple = 2 * vae.scaleFactor;
      expectControlImage(controlImage);
      const size = originalSize(image, vae, options, multiple);
      using run = await beginControlled(parts, options, size, 7);
      const timesteps = sliceFlowByStrength(parts.scheduler, strength, run.steps);
      const beside = await controlLatents(parts, run, options);
      const start = await startLatents(parts, run, async () => {
        const original = await readOriginal(image, run, vae, options, multiple);
        return await noisedLatents(parts, original, run, timesteps[0], options, "picture");
      });
      return await draw(parts, run, { start, timesteps, beside });
    });
  }
}

/** Options of `FluxControlInpaintPipeline.run`; guidanceScale is 7 by default, `strength` 0.6. */
export interface FluxControlInpaintRunOptions extends FluxInpaintRunOptions, FluxControlImageOption {}

/** Draws parts of a picture anew that follow another, by FLUX.1 Depth or Canny: the rest is put back after each step. */
export class FluxControlInpaintPipeline extends FluxBase {
  /**
   * Draws what the mask shows. The picture that controls is resized to the one that is changed. Random numbers go to the
   * latents of the rest, of the picture that controls, for each row, and of the picture, then to the noise.
   */
  async run(options: FluxControlInpaintRunOptions): Promise<FluxOutput> {
    return await ownRun("FluxControlInpaintPipeline", this.parts, options, async (parts, options) => {
      const { image, controlImage, strength = 0.6 } = options;
      const { vae, scheduler } = parts;
      const multiple = 2 * vae.scaleFactor;
      expectControlImage(controlImage);
      const size = originalSize(image, vae, options, multiple);
      using run = await beginControlled(parts, options, size, 7);
      const timesteps = sliceFlowByStrength(scheduler, strength, run.steps);
      const original = await readOriginal(image, run, vae, options, multiple);
      const mask = await readMask(options.mask, original, vae.scaleFactor, run);
      await drawRest(parts, original, mask, options);
      const beside = await controlLatents(parts, run, options);
      const begun = await beginPacked(parts, run, { original, mask, timesteps }, options);
      return await draw(parts, run, { ...begun, beside });
    });
  }
}

/** Begins a run of a transformer that sees the latents of a picture beside its own. */
async function beginControlled(
  parts: FluxParts,
  options: FluxOptions,
  size: readonly [h: number, w: number],
  usualScale: number,
): Promise<FluxRun> {
  return await beginRun(parts, options, size, { usualScale, beside: 4 * parts.vae.config.latent_channels });
}

/** Packed latents of the picture that controls, in the size that is drawn: a row for each that is drawn; the run's. [B, L, 4 C] */
export async function controlLatents(
  parts: FluxParts,
  run: FluxRun,
  { controlImage, generator, ...options }: FluxOptions & FluxControlImageOption,
): Promise<Tensor> {
  const { vae } = parts;
  const { B, size: [h, w], owned } = run;
  const f = vae.scaleFactor;
  const size = { height: f * h, width: f * w };
  const { pixels, latents } = await readOriginal(controlImage, run, vae, size, 2 * f);
  return await withModels(parts, [vae], options, () => {
    using made = scope(...(pixels ? [pixels] : []));
    const drawn = latents({ generator, rows: pixels?.shape[0] === 1 ? B : undefined });
    return owned.adopt(made.keep(packLatents(drawn.expand([B, vae.config.latent_channels, h, w]))), free);
  });
}

/** Draws the latents of what the mask leaves, for their random numbers alone: diffusers does, and the next depend on it. */
async function drawRest(
  parts: FluxParts,
  { pixels }: Original,
  mask: Tensor,
  { generator, ...options }: FluxOptions,
): Promise<void> {
  const { vae } = parts;
  if (!pixels) return;
  const own = Array.isArray(generator) ? generator.slice(0, pixels.shape[0]) : generator; // one for each picture
  await withModels(parts, [vae], options, () => {
    using _made = scope();
    drawLatents(vae, pixels.mul(mask.neg().add(1)), { generator: own });
  });
}

function expectControlImage(image: Tensor | undefined): void {
  if (image) return;
  throw new TypeError("Cannot control: expected controlImage, the depth or edges to follow, got none");
}
