import type { LatentOutput } from "../latents/loop.ts";
import { latentSize, type SizeOptions } from "../latents/size.ts";
import { ownRun } from "../own_run.ts";
import { StableDiffusionBase } from "./base.ts";
import { beginRun, draw, expectPlainUNet, type StableDiffusionOptions } from "./run.ts";
import { startNoise, type StartNoiseOptions } from "../latents/start_noise.ts";

/** Options of `StableDiffusionPipeline.run`. */
export interface StableDiffusionRunOptions extends StableDiffusionOptions, SizeOptions, StartNoiseOptions {}

/**
 * Pictures from texts in the latent space of an autoencoder (Rombach et al. 2022,
 * https://arxiv.org/abs/2112.10752).
 */
export class StableDiffusionPipeline extends StableDiffusionBase {
  /** Draws pictures of prompts. */
  async run(runOptions: StableDiffusionRunOptions): Promise<LatentOutput> {
    return await ownRun("StableDiffusionPipeline", this.parts, runOptions, async (parts, runOptions) => {
      const { unet, scheduler } = parts;
      expectPlainUNet(parts);
      const [h, w] = latentSize(parts, runOptions);
      const begun = await beginRun(parts, runOptions);
      const start = startNoise(scheduler, [begun.B, unet.config.in_channels, h, w], runOptions);
      return await draw(parts, begun, { start, timesteps: scheduler.timesteps });
    });
  }
}
