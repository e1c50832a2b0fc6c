import { type DenoisingRangeOptions, timestepsWithin } from "./denoising_range.ts";
import type { LatentOutput } from "../latents/loop.ts";
import { latentSize, type SizeOptions } from "../latents/size.ts";
import { ownRun } from "../own_run.ts";
import { StableDiffusionXLBase } from "./base.ts";
import { beginRunXL, drawXL, expectPlainUNetXL, type StableDiffusionXLOptions } from "./run.ts";
import { type MicroConditionOptions, timeIdRows } from "./sizes.ts";
import { startNoise, type StartNoiseOptions } from "../latents/start_noise.ts";

/** Options of `StableDiffusionXLPipeline.run`. */
export interface StableDiffusionXLRunOptions
  extends
    StableDiffusionXLOptions,
    SizeOptions,
    MicroConditionOptions,
    DenoisingRangeOptions,
    StartNoiseOptions {}

/** Pictures from texts by Stable Diffusion XL (Podell et al. 2023, https://arxiv.org/abs/2307.01952). */
export class StableDiffusionXLPipeline extends StableDiffusionXLBase {
  /** Draws pictures of prompts. */
  async run(options: StableDiffusionXLRunOptions): Promise<LatentOutput> {
    return await ownRun("StableDiffusionXLPipeline", this.parts, options, async (parts, options) => {
      const { unet, vae, scheduler } = parts;
      expectPlainUNetXL(parts);
      const [h, w] = latentSize(parts, options);
      const begun = await beginRunXL(parts, options);
      const size = [h * vae.scaleFactor, w * vae.scaleFactor] as const;
      const timeIds = timeIdRows(options, size, begun);
      const timesteps = timestepsWithin(scheduler, options);
      const start = startNoise(scheduler, [begun.B, unet.config.in_channels, h, w], options);
      return await drawXL(parts, begun, { start, timesteps, timeIds });
    });
  }
}
