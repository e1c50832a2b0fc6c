import type { Tensor } from "../../tensor/mod.ts";
import { readOriginal } from "../latents/init_image.ts";
import { beginInpainting, readMask, seesMask } from "../latents/inpainting.ts";
import type { LatentOutput } from "../latents/loop.ts";
import { ownRun } from "../own_run.ts";
import { withModels } from "../memory/residency.ts";
import { StableDiffusionBase } from "./base.ts";
import type { StableDiffusionImg2ImgRunOptions } from "./img2img.ts";
import { beginRun, draw } from "./run.ts";

/** Options of `StableDiffusionInpaintPipeline.run`; `strength` is 1 by default. */
export interface StableDiffusionInpaintRunOptions extends StableDiffusionImg2ImgRunOptions {
  /**
   * Where the picture is drawn anew: from 0.5 on; resized to the picture, of colours the luma counts.
   * [1 or as many as pictures are given, 1 or 3, H, W]
   */
  mask: Tensor;
}

/**
 * Draws parts of a picture anew (Lugmayr et al. 2022, https://arxiv.org/abs/2201.09865): with models of nine
 * input channels, which see the mask and the rest, or with any model, the rest being put back after each
 * step.
 */
export class StableDiffusionInpaintPipeline extends StableDiffusionBase {
  /** Draws what the mask shows. Random numbers are drawn in the order of diffusers. */
  async run(runOptions: StableDiffusionInpaintRunOptions): Promise<LatentOutput> {
    return await ownRun(
      "StableDiffusionInpaintPipeline",
      this.parts,
      runOptions,
      async (parts, runOptions) => {
        const { vae, scheduler } = parts;
        const { strength = 1, generator } = runOptions;
        seesMask(parts);
        const begun = await beginRun(parts, runOptions);
        const { B, guided } = begun;
        const timesteps = scheduler.sliceByStrength(strength);

        const original = await readOriginal(runOptions.image, B, vae, runOptions);
        const mask = await readMask(runOptions.mask, original, vae.scaleFactor);
        const begin = strength === 1 ? "noise" : "noised";
        const task = { original, mask, B, guided, timesteps, begin, generator } as const;
        const inpainting = await withModels(parts, [vae], runOptions, () => beginInpainting(parts, task));
        return await draw(parts, begun, { ...inpainting, timesteps });
      },
    );
  }
}
