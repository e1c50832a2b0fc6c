import type { Tensor } from "../../tensor/mod.ts";
import { type DenoisingStartOptions, timestepsWithin } from "./denoising_range.ts";
import { type ChangedSizeOptions, readOriginal, startFrom } from "../latents/init_image.ts";
import type { LatentOutput } from "../latents/loop.ts";
import { ownRun } from "../own_run.ts";
import { withModels } from "../memory/residency.ts";
import { StableDiffusionXLBase } from "./base.ts";
import { beginRunXL, drawXL, expectPlainUNetXL, type StableDiffusionXLOptions } from "./run.ts";
import { type AestheticOptions, changeTimeIdRows, type MicroConditionOptions } from "./sizes.ts";

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
  /** How much of it is replaced: near 0 little, 1 all. By default 0.3. */
  strength?: number | undefined;
}

/** Pictures from a picture and a text, with the base model of Stable Diffusion XL or with its refiner. */
export class StableDiffusionXLImg2ImgPipeline extends StableDiffusionXLBase {
  /** Draws the picture anew. Random numbers go to its latents first, then to the noise, as in diffusers. */
  async run(options: StableDiffusionXLImg2ImgRunOptions): Promise<LatentOutput> {
    return await ownRun("StableDiffusionXLImg2ImgPipeline", this.parts, options, async (parts, options) => {
      const { vae, scheduler, requiresAestheticsScore = false } = parts;
      const { image, strength = 0.3, generator, denoisingStart } = options;
      expectPlainUNetXL(parts);
      const begun = await beginRunXL(parts, options);
      const { B } = begun;
      const timesteps = timestepsWithin(scheduler, options, strength);

      const original = await readOriginal(image, B, vae, options);
      const [h, w] = original.size;
      const size = [h * vae.scaleFactor, w * vae.scaleFactor] as const;
      const timeIds = changeTimeIdRows(options, size, begun, requiresAestheticsScore);
      const t = denoisingStart === undefined ? timesteps[0] : undefined; // else it has its noise
      const start = await withModels(
        parts,
        [vae],
        options,
        () => startFrom(original, B, { scheduler, generator, t }),
      );
      return await drawXL(parts, begun, { start, timesteps, timeIds });
    });
  }
}
