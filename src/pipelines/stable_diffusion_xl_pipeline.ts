import { formatShape, sameNumbers } from "../core/shape.ts";
import { randn } from "../random/mod.ts";
import type { Tensor } from "../tensor/mod.ts";
import type { LatentOutput } from "./latent_loop.ts";
import { latentSize, type SizeOptions } from "./latent_size.ts";
import type { PipelineOptions } from "./pipeline.ts";
import { freePartsXL, loadPartsXL, type StableDiffusionXLParts } from "./stable_diffusion_xl_parts.ts";
import { beginRunXL, drawXL, type StableDiffusionXLOptions } from "./stable_diffusion_xl_run.ts";
import { type MicroConditionOptions, timeIdRows } from "./stable_diffusion_xl_sizes.ts";

/** Options of `StableDiffusionXLPipeline.run`. */
export interface StableDiffusionXLRunOptions
  extends StableDiffusionXLOptions, SizeOptions, MicroConditionOptions {
  /** The noise to begin with. [B, C, H / 8, W / 8] */
  latents?: Tensor;
}

/** Pictures from texts by Stable Diffusion XL (Podell et al. 2023, https://arxiv.org/abs/2307.01952). */
export class StableDiffusionXLPipeline implements Disposable {
  /** The parts may be exchanged, e.g. the scheduler. */
  constructor(readonly parts: StableDiffusionXLParts) {}

  /** Loads the parts of a folder or a repository, e.g. "stabilityai/stable-diffusion-xl-base-1.0". */
  static async fromPretrained(
    pathOrRepo: string,
    options: PipelineOptions = {},
  ): Promise<StableDiffusionXLPipeline> {
    return new StableDiffusionXLPipeline(await loadPartsXL(pathOrRepo, options));
  }

  /** Draws pictures of prompts. */
  async run(options: StableDiffusionXLRunOptions): Promise<LatentOutput> {
    const { unet, vae, scheduler } = this.parts;
    const [h, w] = latentSize(this.parts, options);
    const begun = beginRunXL(this.parts, options);
    const size = [h * vae.scaleFactor, w * vae.scaleFactor] as const;
    const timeIds = timeIdRows(options, size, begun);
    const shape = [begun.B, unet.config.in_channels, h, w];
    const { latents: noise = randn(shape, options) } = options;
    if (!sameNumbers(noise.shape, shape)) {
      throw new RangeError(
        `Cannot draw: expected latents ${formatShape(shape)}, got ${formatShape(noise.shape)}`,
      );
    }
    const start = noise.mul(scheduler.initNoiseSigma);
    return await drawXL(this.parts, begun, { start, timesteps: scheduler.timesteps, timeIds });
  }

  /** Frees the models; parts that other pipelines use must not be freed through this one. */
  [Symbol.dispose](): void {
    freePartsXL(this.parts);
  }
}
