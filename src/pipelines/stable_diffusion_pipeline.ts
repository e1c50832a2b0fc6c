import { expectSingleFile } from "../io/single_file/options.ts";
import type { LatentOutput } from "./latent_loop.ts";
import { latentSize, type SizeOptions } from "./latent_size.ts";
import { LoraPipeline } from "./lora.ts";
import type { PipelineOptions } from "./pipeline.ts";
import { expectRunOptions } from "./run_options.ts";
import { loadParts, type StableDiffusionParts } from "./stable_diffusion_parts.ts";
import { beginRun, draw, expectPlainUNet, type StableDiffusionOptions } from "./stable_diffusion_run.ts";
import { startNoise, type StartNoiseOptions } from "./start_noise.ts";

/** Options of `StableDiffusionPipeline.run`. */
export interface StableDiffusionRunOptions extends StableDiffusionOptions, SizeOptions, StartNoiseOptions {}

/**
 * Pictures from texts in the latent space of an autoencoder (Rombach et al. 2022,
 * https://arxiv.org/abs/2112.10752).
 */
export class StableDiffusionPipeline extends LoraPipeline<StableDiffusionParts> {
  /** Loads the parts of a folder or a repository, e.g. "CompVis/stable-diffusion-v1-4". */
  static async fromPretrained<Class extends new (parts: StableDiffusionParts) => StableDiffusionPipeline>(
    this: Class,
    pathOrRepo: string,
    options: PipelineOptions = {},
  ): Promise<InstanceType<Class>> {
    return new this(await loadParts(pathOrRepo, options)) as InstanceType<Class>;
  }

  /** Opens the parts of one file in its authors' layout; `base` has what it lacks, e.g. the tokenizers. */
  static async fromSingleFile<Class extends new (parts: StableDiffusionParts) => StableDiffusionPipeline>(
    this: Class,
    path: string,
    options: PipelineOptions = {},
  ): Promise<InstanceType<Class>> {
    return new this(await loadParts(expectSingleFile(path), options)) as InstanceType<Class>;
  }

  /** Draws pictures of prompts. */
  async run(runOptions: StableDiffusionRunOptions): Promise<LatentOutput> {
    expectRunOptions("StableDiffusionPipeline", runOptions);
    const { unet, scheduler } = this.parts;
    expectPlainUNet(this.parts);
    const [h, w] = latentSize(this.parts, runOptions);
    const begun = await beginRun(this.parts, runOptions);
    const start = startNoise(scheduler, [begun.B, unet.config.in_channels, h, w], runOptions);
    return await draw(this.parts, begun, { start, timesteps: scheduler.timesteps });
  }
}
