import { formatShape, sameNumbers } from "../core/shape.ts";
import { upsampleNearest } from "../ops/mod.ts";
import { randn, type RandomOptions } from "../random/mod.ts";
import { cat, type Tensor, tensor } from "../tensor/mod.ts";
import { drawLatents, fractionsOf, readInitImage } from "./init_image.ts";
import { decodeLatents, denoise, type LatentLoop, type LatentOutput } from "./latent_loop.ts";
import type { PipelineOptions } from "./pipeline.ts";
import type { StableDiffusionImg2ImgRunOptions } from "./stable_diffusion_img2img_pipeline.ts";
import { freeParts, loadParts, type StableDiffusionParts } from "./stable_diffusion_parts.ts";
import { beginRun } from "./stable_diffusion_run.ts";

/** Options of `StableDiffusionInpaintPipeline.run`; `strength` is 1 by default. */
export interface StableDiffusionInpaintRunOptions extends StableDiffusionImg2ImgRunOptions {
  /** Where the picture is drawn anew: from 0.5 on. [1 or as many as pictures are given, 1, H, W] */
  mask: Tensor;
}

/**
 * Draws parts of a picture anew (Lugmayr et al. 2022, https://arxiv.org/abs/2201.09865): with models of nine input
 * channels, which see the mask and the rest, or with any model, the rest being put back after each step.
 */
export class StableDiffusionInpaintPipeline implements Disposable {
  /** The parts may be those of another pipeline. */
  constructor(readonly parts: StableDiffusionParts) {}

  /** Loads the parts of a folder or a repository, e.g. "stable-diffusion-v1-5/stable-diffusion-inpainting". */
  static async fromPretrained(
    pathOrRepo: string,
    options: PipelineOptions = {},
  ): Promise<StableDiffusionInpaintPipeline> {
    return new StableDiffusionInpaintPipeline(await loadParts(pathOrRepo, options));
  }

  /** Draws what the mask shows. Random numbers are drawn in the order of diffusers. */
  async run(runOptions: StableDiffusionInpaintRunOptions): Promise<LatentOutput> {
    const { unet, vae, scheduler } = this.parts;
    const seesMask = this.#seesMask();
    const { embeddings, B, guided, options } = beginRun(this.parts, runOptions);
    const { strength = 1 } = runOptions;
    const timesteps = scheduler.sliceByStrength(strength);
    const { generator } = options;

    const { pixels, size } = await readInitImage(runOptions.image, B, vae);
    const mask = await binary(runOptions.mask, pixels);
    const shape = [B, vae.config.latent_channels, ...size];
    const draw = (x: Tensor) =>
      drawLatents(vae, x, { generator: first(generator, x.shape[0]) }).expand(shape);

    const original = seesMask && strength === 1 ? undefined : draw(pixels);
    const noise = randn(shape, { generator });
    const start = strength === 1
      ? noise.mul(scheduler.initNoiseSigma)
      : scheduler.addNoise(original!, noise, timesteps[0]);
    const rest = draw(pixels.mul(mask.neg().add(1))); // drawn always, so that streams stay as in diffusers
    const small = upsampleNearest(mask, { size }).expand([B, 1, ...size]);

    const seen = cat([small, rest], 1);
    const added = guided ? cat([seen, seen]) : seen;
    const loop: LatentLoop = {
      scheduler,
      predict: (input, t) => unet.forward(seesMask ? cat([input, added], 1) : input, t, embeddings).sample,
      after: (latents, step) => {
        if (seesMask) return latents;
        const next = timesteps[step + 1];
        const known = next === undefined ? original! : scheduler.addNoise(original!, noise, next);
        return known.mul(small.neg().add(1)).add(latents.mul(small));
      },
    };
    return await decodeLatents(vae, await denoise(start, timesteps, loop, options), options);
  }

  /** Whether the UNet takes latents, the mask and the latents of the rest, or latents alone. */
  #seesMask(): boolean {
    const { in_channels } = this.parts.unet.config;
    const { latent_channels: C } = this.parts.vae.config;
    if (in_channels === C || in_channels === 2 * C + 1) return in_channels !== C;
    throw new RangeError(
      `Cannot inpaint with a UNet of ${in_channels} channels: expected ${C} or ${2 * C + 1} beside this VAE`,
    );
  }

  /** Frees the models; parts that other pipelines use must not be freed through this one. */
  [Symbol.dispose](): void {
    freeParts(this.parts);
  }
}

/** The mask as 0 and 1. */
async function binary(mask: Tensor, { shape: [count, , H, W] }: Tensor): Promise<Tensor> {
  const shapes = [[1, 1, H, W], [count, 1, H, W]];
  if (!shapes.some((shape) => sameNumbers(mask.shape, shape))) {
    throw new RangeError(
      `Cannot inpaint: expected a mask ${formatShape(shapes[1])} as the picture is, got ${
        formatShape(mask.shape)
      }`,
    );
  }
  const data = await fractionsOf("by a mask", mask);
  return tensor(data.map((value) => value < 0.5 ? 0 : 1), mask.shape);
}

/** Of a list the streams of so many pictures. */
function first(generator: RandomOptions["generator"], count: number): RandomOptions["generator"] {
  return Array.isArray(generator) ? generator.slice(0, count) : generator;
}
