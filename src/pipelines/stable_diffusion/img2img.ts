import type { Tensor } from "../../tensor/mod.ts";
import { type ChangedSizeOptions, readOriginal, startFrom } from "../latents/init_image.ts";
import type { LatentOutput } from "../latents/loop.ts";
import { ownRun } from "../own_run.ts";
import { withModels } from "../memory/residency.ts";
import { StableDiffusionBase } from "./base.ts";
import { beginRun, draw, expectPlainUNet, type StableDiffusionOptions } from "./run.ts";

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
  async run(runOptions: StableDiffusionImg2ImgRunOptions): Promise<LatentOutput> {
    return await ownRun(
      "StableDiffusionImg2ImgPipeline",
      this.parts,
      runOptions,
      async (parts, runOptions) => {
        const { vae, scheduler } = parts;
        const { image, strength = 0.8, generator } = runOptions;
        expectPlainUNet(parts);
        const begun = await beginRun(parts, runOptions);
        const { B } = begun;
        const timesteps = scheduler.sliceByStrength(strength);

        const original = await readOriginal(image, B, vae, runOptions);
        const start = await withModels(
          parts,
          [vae],
          runOptions,
          () => startFrom(original, B, { scheduler, generator, t: timesteps[0] }),
        );
        return await draw(parts, begun, { start, timesteps });
      },
    );
  }
}
