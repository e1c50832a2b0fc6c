import { formatShape, sameNumbers } from "../core/shape.ts";
import { randn } from "../random/mod.ts";
import type { Tensor } from "../tensor/mod.ts";
import { decodeLatents, denoise, type LatentOutput } from "./latent_loop.ts";
import { latentSize, type SizeOptions } from "./latent_size.ts";
import type { PipelineOptions } from "./pipeline.ts";
import { freeParts, loadParts, type StableDiffusionParts } from "./stable_diffusion_parts.ts";
import { beginRun, expectPlainUNet, type StableDiffusionOptions } from "./stable_diffusion_run.ts";

/** Options of `StableDiffusionPipeline.run`. */
export interface StableDiffusionRunOptions extends StableDiffusionOptions, SizeOptions {
  /** The noise to begin with. [B, C, H / 8, W / 8] */
  latents?: Tensor;
}

/** Pictures from texts in the latent space of an autoencoder (Rombach et al. 2022, https://arxiv.org/abs/2112.10752). */
export class StableDiffusionPipeline implements Disposable {
  /** The parts may be exchanged, e.g. the scheduler. */
  constructor(readonly parts: StableDiffusionParts) {}

  /** Loads the parts of a folder or a repository, e.g. "CompVis/stable-diffusion-v1-4". */
  static async fromPretrained(
    pathOrRepo: string,
    options: PipelineOptions = {},
  ): Promise<StableDiffusionPipeline> {
    return new StableDiffusionPipeline(await loadParts(pathOrRepo, options));
  }

  /** Draws pictures of prompts. */
  async run(runOptions: StableDiffusionRunOptions): Promise<LatentOutput> {
    const { unet, vae, scheduler } = this.parts;
    expectPlainUNet(this.parts);
    const [h, w] = latentSize(this.parts, runOptions);
    const { embeddings, B, options } = beginRun(this.parts, runOptions);
    const shape = [B, unet.config.in_channels, h, w];
    const { latents: noise = randn(shape, options) } = runOptions;
    if (!sameNumbers(noise.shape, shape)) {
      throw new RangeError(
        `Cannot draw: expected latents ${formatShape(shape)}, got ${formatShape(noise.shape)}`,
      );
    }
    const predict = (input: Tensor, t: number) => unet.forward(input, t, embeddings).sample;
    const start = noise.mul(scheduler.initNoiseSigma);
    const latents = await denoise(start, scheduler.timesteps, { scheduler, predict }, options);
    return await decodeLatents(vae, latents, options);
  }

  /** Frees the models; parts that other pipelines use must not be freed through this one. */
  [Symbol.dispose](): void {
    freeParts(this.parts);
  }
}
