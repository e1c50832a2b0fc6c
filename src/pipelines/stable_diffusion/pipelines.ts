import type { Tensor } from "../../tensor/mod.ts";
import { type ChangedSizeOptions, readOriginal, startFrom } from "../latents/init_image.ts";
import { beginInpainting, readMask, seesMask } from "../latents/inpainting.ts";
import type { LatentOutput } from "../latents/loop.ts";
import { latentSize, type SizeOptions, startNoise, type StartNoiseOptions } from "../latents/size.ts";
import { withModels } from "../memory/residency.ts";
import { ownRun } from "../run.ts";
import { begin, StableDiffusionBase } from "./base.ts";
import { draw, expectPlainUNet, type StableDiffusionOptions } from "./run.ts";

/** Options of `StableDiffusionPipeline.run`. */
export interface StableDiffusionRunOptions extends StableDiffusionOptions, SizeOptions, StartNoiseOptions {}

/**
 * Pictures from texts in the latent space of an autoencoder (Rombach et al. 2022,
 * https://arxiv.org/abs/2112.10752).
 */
export class StableDiffusionPipeline extends StableDiffusionBase {
  /** Draws pictures of prompts. */
  async run(options: StableDiffusionRunOptions): Promise<LatentOutput> {
    return await ownRun("StableDiffusionPipeline", this.parts, options, async (parts, options) => {
      const { unet, scheduler } = parts;
      expectPlainUNet(parts, "StableDiffusionInpaintPipeline");
      const [h, w] = latentSize(parts, options);
      const begun = await begin(parts, options);
      const start = startNoise(scheduler, [begun.B, unet.config.in_channels, h, w], options);
      return await draw(parts, begun, { start, timesteps: scheduler.timesteps });
    });
  }
}

/** Options of `StableDiffusionImg2ImgPipeline.run`. */
export interface StableDiffusionImg2ImgRunOptions extends StableDiffusionOptions, ChangedSizeOptions {
  /**
   * The picture to change, in [0, 1]: one for all, or one for each that is drawn [1 or B, 3, H, W]; or its
   * latents as another run left them [1 or B, C, H / 8, W / 8].
   */
  image: Tensor;
  /** How much of it is replaced: near 0 little, 1 all. By default 0.8. */
  strength?: number | undefined;
}

/** Pictures from a picture and a text (Meng et al. 2021, https://arxiv.org/abs/2108.01073). */
export class StableDiffusionImg2ImgPipeline extends StableDiffusionBase {
  /** Draws the picture anew. Random numbers go to its latents first, then to the noise, as in diffusers. */
  async run(options: StableDiffusionImg2ImgRunOptions): Promise<LatentOutput> {
    return await ownRun(
      "StableDiffusionImg2ImgPipeline",
      this.parts,
      options,
      async (parts, options) => {
        const { vae, scheduler } = parts;
        const { image, strength = 0.8, generator } = options;
        expectPlainUNet(parts, "StableDiffusionInpaintPipeline");
        const begun = await begin(parts, options);
        const { B } = begun;
        const timesteps = scheduler.sliceByStrength(strength);

        const original = await readOriginal(image, B, vae, options);
        const start = await withModels(
          parts,
          [vae],
          options,
          () => startFrom(original, B, { scheduler, generator, t: timesteps[0] }),
        );
        return await draw(parts, begun, { start, timesteps });
      },
    );
  }
}

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
  async run(options: StableDiffusionInpaintRunOptions): Promise<LatentOutput> {
    return await ownRun(
      "StableDiffusionInpaintPipeline",
      this.parts,
      options,
      async (parts, options) => {
        const { vae, scheduler } = parts;
        const { strength = 1, generator } = options;
        seesMask(parts);
        const begun = await begin(parts, options);
        const { B, guided } = begun;
        const timesteps = scheduler.sliceByStrength(strength);

        const original = await readOriginal(options.image, B, vae, options);
        const mask = await readMask(options.mask, original, vae.scaleFactor);
        const from = strength === 1 ? "noise" : "noised";
        const task = { original, mask, B, guided, timesteps, from, generator } as const;
        const inpainting = await withModels(parts, [vae], options, () => beginInpainting(parts, task));
        return await draw(parts, begun, { ...inpainting, timesteps });
      },
    );
  }
}
