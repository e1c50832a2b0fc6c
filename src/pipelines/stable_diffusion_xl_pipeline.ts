import { expectSingleFile } from "../io/single_file/options.ts";
import { type DenoisingRangeOptions, timestepsWithin } from "./denoising_range.ts";
import type { LatentOutput } from "./latent_loop.ts";
import { latentSize, type SizeOptions } from "./latent_size.ts";
import { LoraPipeline } from "./lora.ts";
import type { PipelineOptions } from "./pipeline.ts";
import { expectRunOptions } from "./run_options.ts";
import { loadPartsXL, type StableDiffusionXLParts } from "./stable_diffusion_xl_parts.ts";
import {
  beginRunXL,
  drawXL,
  expectPlainUNetXL,
  type StableDiffusionXLOptions,
} from "./stable_diffusion_xl_run.ts";
import { type MicroConditionOptions, timeIdRows } from "./stable_diffusion_xl_sizes.ts";
import { startNoise, type StartNoiseOptions } from "./start_noise.ts";

/** Options of `StableDiffusionXLPipeline.run`. */
export interface StableDiffusionXLRunOptions
  extends
    StableDiffusionXLOptions,
    SizeOptions,
    MicroConditionOptions,
    DenoisingRangeOptions,
    StartNoiseOptions {}

/** Pictures from texts by Stable Diffusion XL (Podell et al. 2023, https://arxiv.org/abs/2307.01952). */
export class StableDiffusionXLPipeline extends LoraPipeline<StableDiffusionXLParts> {
  /** Loads the parts of a folder or a repository, e.g. "stabilityai/stable-diffusion-xl-base-1.0". */
  static async fromPretrained<Class extends new (parts: StableDiffusionXLParts) => StableDiffusionXLPipeline>(
    this: Class,
    pathOrRepo: string,
    options: PipelineOptions = {},
  ): Promise<InstanceType<Class>> {
    return new this(await loadPartsXL(pathOrRepo, options)) as InstanceType<Class>;
  }

  /** Opens the parts of one file in its authors' layout; `base` has what it lacks, e.g. the tokenizers. */
  static async fromSingleFile<Class extends new (parts: StableDiffusionXLParts) => StableDiffusionXLPipeline>(
    this: Class,
    path: string,
    options: PipelineOptions = {},
  ): Promise<InstanceType<Class>> {
    return new this(await loadPartsXL(expectSingleFile(path), options)) as InstanceType<Class>;
  }

  /** Draws pictures of prompts. */
  async run(options: StableDiffusionXLRunOptions): Promise<LatentOutput> {
    expectRunOptions("StableDiffusionXLPipeline", options);
    const { unet, vae, scheduler } = this.parts;
    expectPlainUNetXL(this.parts);
    const [h, w] = latentSize(this.parts, options);
    const begun = await beginRunXL(this.parts, options);
    const size = [h * vae.scaleFactor, w * vae.scaleFactor] as const;
    const timeIds = timeIdRows(options, size, begun);
    const timesteps = timestepsWithin(scheduler, options);
    const start = startNoise(scheduler, [begun.B, unet.config.in_channels, h, w], options);
    return await drawXL(this.parts, begun, { start, timesteps, timeIds });
  }
}
