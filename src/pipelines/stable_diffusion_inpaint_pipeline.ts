import { expectSingleFile } from "../io/single_file/options.ts";
import type { Tensor } from "../tensor/mod.ts";
import { readOriginal } from "./init_image.ts";
import { beginInpainting, readMask, seesMask } from "./inpainting.ts";
import type { LatentOutput } from "./latent_loop.ts";
import { LoraPipeline } from "./lora.ts";
import type { PipelineOptions } from "./pipeline.ts";
import { withModels } from "./residency.ts";
import { expectRunOptions } from "./run_options.ts";
import type { StableDiffusionImg2ImgRunOptions } from "./stable_diffusion_img2img_pipeline.ts";
import { loadParts, type StableDiffusionParts } from "./stable_diffusion_parts.ts";
import { beginRun, draw } from "./stable_diffusion_run.ts";

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
export class StableDiffusionInpaintPipeline extends LoraPipeline<StableDiffusionParts> {
  /**
   * Loads the parts of a folder or a repository, e.g. "stable-diffusion-v1-5/stable-diffusion-inpainting".
   */
  static async fromPretrained<
    Class extends new (parts: StableDiffusionParts) => StableDiffusionInpaintPipeline,
  >(
    this: Class,
    pathOrRepo: string,
    options: PipelineOptions = {},
  ): Promise<InstanceType<Class>> {
    return new this(await loadParts(pathOrRepo, options)) as InstanceType<Class>;
  }

  /** Opens the parts of one file in its authors' layout; `base` has what it lacks, e.g. the tokenizers. */
  static async fromSingleFile<
    Class extends new (parts: StableDiffusionParts) => StableDiffusionInpaintPipeline,
  >(
    this: Class,
    path: string,
    options: PipelineOptions = {},
  ): Promise<InstanceType<Class>> {
    return new this(await loadParts(expectSingleFile(path), options)) as InstanceType<Class>;
  }

  /** Draws what the mask shows. Random numbers are drawn in the order of diffusers. */
  async run(runOptions: StableDiffusionInpaintRunOptions): Promise<LatentOutput> {
    expectRunOptions("StableDiffusionInpaintPipeline", runOptions);
    const { vae, scheduler } = this.parts;
    const { strength = 1, generator } = runOptions;
    seesMask(this.parts);
    const begun = await beginRun(this.parts, runOptions);
    const { B, guided } = begun;
    const timesteps = scheduler.sliceByStrength(strength);

    const original = await readOriginal(runOptions.image, B, vae, runOptions);
    const mask = await readMask(runOptions.mask, original, vae.scaleFactor);
    const begin = strength === 1 ? "noise" : "noised";
    const task = { original, mask, B, guided, timesteps, begin, generator } as const;
    const inpainting = await withModels(
      this.parts,
      [vae],
      runOptions,
      () => beginInpainting(this.parts, task),
    );
    return await draw(this.parts, begun, { ...inpainting, timesteps });
  }
}
