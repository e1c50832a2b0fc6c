import { randn } from "../random/mod.ts";
import type { Tensor } from "../tensor/mod.ts";
import { drawLatents, readInitImage } from "./init_image.ts";
import { decodeLatents, denoise, type LatentOutput } from "./latent_loop.ts";
import type { PipelineOptions } from "./pipeline.ts";
import { freeParts, loadParts, type StableDiffusionParts } from "./stable_diffusion_parts.ts";
import { beginRun, expectPlainUNet, type StableDiffusionOptions } from "./stable_diffusion_run.ts";

/** Options of `StableDiffusionImg2ImgPipeline.run`. */
export interface StableDiffusionImg2ImgRunOptions extends StableDiffusionOptions {
  /** The picture to change, in [0, 1]: one for all, or one for each that is drawn. [1 or B, 3, H, W] */
  image: Tensor;
  /** How much of it is replaced: near 0 little, 1 all. By default 0.8. */
  strength?: number;
}

/** Pictures from a picture and a text (Meng et al. 2021, https://arxiv.org/abs/2108.01073). */
export class StableDiffusionImg2ImgPipeline implements Disposable {
  /** The parts may be those of another pipeline. */
  constructor(readonly parts: StableDiffusionParts) {}

  /** Loads the parts of a folder or a repository. */
  static async fromPretrained(
    pathOrRepo: string,
    options: PipelineOptions = {},
  ): Promise<StableDiffusionImg2ImgPipeline> {
    return new StableDiffusionImg2ImgPipeline(await loadParts(pathOrRepo, options));
  }

  /** Draws the picture anew. Random numbers go to its latents first, then to the noise, as in diffusers. */
  async run(runOptions: StableDiffusionImg2ImgRunOptions): Promise<LatentOutput> {
    const { unet, vae, scheduler } = this.parts;
    expectPlainUNet(this.parts);
    const { embeddings, B, options } = beginRun(this.parts, runOptions);
    const { image, strength = 0.8 } = runOptions;
    const timesteps = scheduler.sliceByStrength(strength);
    const { generator } = options;

    const { pixels, size } = await readInitImage(image, B, vae);
    const original = drawLatents(vae, pixels, { generator, rows: Array.isArray(generator) ? B : undefined });
    const shape = [B, unet.config.in_channels, ...size];
    const start = scheduler.addNoise(original.expand(shape), randn(shape, { generator }), timesteps[0]);
    const predict = (input: Tensor, t: number) => unet.forward(input, t, embeddings).sample;
    const latents = await denoise(start, timesteps, { scheduler, predict }, options);
    return await decodeLatents(vae, latents, options);
  }

  /** Frees the models; parts that other pipelines use must not be freed through this one. */
  [Symbol.dispose](): void {
    freeParts(this.parts);
  }
}
