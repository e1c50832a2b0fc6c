import { randn } from "../random/mod.ts";
import type { Tensor } from "../tensor/mod.ts";
import { drawLatents, readInitImage } from "./init_image.ts";
import type { LatentOutput } from "./latent_loop.ts";
import type { PipelineOptions } from "./pipeline.ts";
import { freePartsXL, loadPartsXL, type StableDiffusionXLParts } from "./stable_diffusion_xl_parts.ts";
import { beginRunXL, drawXL, type StableDiffusionXLOptions } from "./stable_diffusion_xl_run.ts";
import {
  type AestheticOptions,
  changeTimeIdRows,
  type MicroConditionOptions,
} from "./stable_diffusion_xl_sizes.ts";

/** Options of `StableDiffusionXLImg2ImgPipeline.run`. */
export interface StableDiffusionXLImg2ImgRunOptions
  extends StableDiffusionXLOptions, MicroConditionOptions, AestheticOptions {
  /** The picture to change, in [0, 1]: one for all, or one for each that is drawn. [1 or B, 3, H, W] */
  image: Tensor;
  /** How much of it is replaced: near 0 little, 1 all. By default 0.3. */
  strength?: number;
}

/** Pictures from a picture and a text, with the base model of Stable Diffusion XL or with its refiner. */
export class StableDiffusionXLImg2ImgPipeline implements Disposable {
  /** The parts may be those of another pipeline. */
  constructor(readonly parts: StableDiffusionXLParts) {}

  /** Loads the parts of a folder or a repository, e.g. "stabilityai/stable-diffusion-xl-refiner-1.0". */
  static async fromPretrained(
    pathOrRepo: string,
    options: PipelineOptions = {},
  ): Promise<StableDiffusionXLImg2ImgPipeline> {
    return new StableDiffusionXLImg2ImgPipeline(await loadPartsXL(pathOrRepo, options));
  }

  /** Draws the picture anew. Random numbers go to its latents first, then to the noise, as in diffusers. */
  async run(options: StableDiffusionXLImg2ImgRunOptions): Promise<LatentOutput> {
    const { unet, vae, scheduler, requiresAestheticsScore = false } = this.parts;
    const { image, strength = 0.3, generator } = options;
    const begun = beginRunXL(this.parts, options);
    const { B } = begun;
    const timesteps = scheduler.sliceByStrength(strength);

    const { pixels, size: [h, w] } = await readInitImage(image, B, vae);
    const size = [h * vae.scaleFactor, w * vae.scaleFactor] as const;
    const timeIds = changeTimeIdRows(options, size, begun, requiresAestheticsScore);
    const original = drawLatents(vae, pixels, { generator, rows: Array.isArray(generator) ? B : undefined });
    const shape = [B, unet.config.in_channels, h, w];
    const start = scheduler.addNoise(original.expand(shape), randn(shape, { generator }), timesteps[0]);
    return await drawXL(this.parts, begun, { start, timesteps, timeIds });
  }

  /** Frees the models; parts that other pipelines use must not be freed through this one. */
  [Symbol.dispose](): void {
    freePartsXL(this.parts);
  }
}
