import type { Tensor } from "../../tensor/mod.ts";
import { timestepsWithin } from "./denoising_range.ts";
import { readOriginal } from "../latents/init_image.ts";
import { beginInpainting, readMask, seesMask } from "../latents/inpainting.ts";
import type { LatentOutput } from "../latents/loop.ts";
import { ownRun } from "../own_run.ts";
import { withModels } from "../memory/residency.ts";
import { StableDiffusionXLBase } from "./base.ts";
import type { StableDiffusionXLImg2ImgRunOptions } from "./img2img.ts";
import { beginRunXL, drawXL } from "./run.ts";
import { changeTimeIdRows } from "./sizes.ts";

/**
 * Options of `StableDiffusionXLInpaintPipeline.run`; `strength` is 0.9999 and `guidanceScale` 7.5 by default.
 */
export interface StableDiffusionXLInpaintRunOptions extends StableDiffusionXLImg2ImgRunOptions {
  /**
   * Where the picture is drawn anew: from 0.5 on; resized to the picture, of colours the luma counts.
   * [1 or as many as pictures are given, 1 or 3, H, W]
   */
  mask: Tensor;
}

/**
 * Draws parts of a picture anew with Stable Diffusion XL: with models of nine input channels, which see the
 * mask and the rest, or with any model, the rest being put back after each step.
 */
export class StableDiffusionXLInpaintPipeline extends StableDiffusionXLBase {
  /** Draws what the mask shows. Random numbers are drawn in the order of diffusers. */
  async run(options: StableDiffusionXLInpaintRunOptions): Promise<LatentOutput> {
    return await ownRun("StableDiffusionXLInpaintPipeline", this.parts, options, async (parts, options) => {
      const { vae, scheduler, requiresAestheticsScore = false } = parts;
      const { strength = 0.9999, guidanceScale = 7.5, generator, denoisingStart } = options;
      seesMask(parts);
      const begun = await beginRunXL(parts, { ...options, guidanceScale });
      const { B, guided } = begun;
      const timesteps = timestepsWithin(scheduler, options, strength);

      const original = await readOriginal(options.image, B, vae, options);
      const mask = await readMask(options.mask, original, vae.scaleFactor);
      const [h, w] = original.size;
      const size = [h * vae.scaleFactor, w * vae.scaleFactor] as const;
      const timeIds = changeTimeIdRows(options, size, begun, requiresAestheticsScore);

      const begin = denoisingStart !== undefined ? "original" : strength === 1 ? "noise" : "noised";
      const task = { original, mask, B, guided, timesteps, begin, generator } as const;
      const inpainting = await withModels(parts, [vae], options, () => beginInpainting(parts, task));
      return await drawXL(parts, begun, { ...inpainting, timesteps, timeIds });
    });
  }
}
