import { randn } from "../../random/mod.ts";
import type { Scheduler } from "../../schedulers/mod.ts";
import { scope, type Tensor } from "../../tensor/mod.ts";
import { changedSize, type ChangedSizeOptions, drawLatents, readInitImage } from "../latents/init_image.ts";
import type { SizeOptions } from "../latents/size.ts";
import { bringIn } from "../memory/residency.ts";
import { ownRun } from "../run.ts";
import { FluxBase, type FluxParts } from "./base.ts";
import {
  beginFlux,
  drawFlux,
  fluxGuidance,
  type FluxOptions,
  type FluxOutput,
  type FluxRun,
  fluxSize,
  startFlux,
} from "./run.ts";

/** Options of `FluxPipeline.run`; guidanceScale is 3.5 by default, and sides are 1024 pixels. */
export interface FluxRunOptions extends FluxOptions, SizeOptions {}

/** Pictures from texts by FLUX.1, a transformer that follows a flow from noise (Black Forest Labs, 2024). */
export class FluxPipeline extends FluxBase {
  /** Draws pictures of prompts. */
  async run(runOptions: FluxRunOptions): Promise<FluxOutput> {
    return await ownRun("FluxPipeline", this.parts, runOptions, async (parts, runOptions) => {
      const guidanceScale = fluxGuidance(parts, runOptions.guidanceScale, 3.5);
      const options = { ...runOptions, guidanceScale };
      const { vae, scheduler } = parts;
      const size = fluxSize(parts, options.height, options.width);
      const run = await beginFlux(parts, options, size);
      const shape = [run.B, vae.config.latent_channels, ...size];
      const start = await startFlux(
        parts,
        run,
        options,
        () => randn(shape, { generator: options.generator }),
      );
      return await drawFlux(parts, run, { start, timesteps: scheduler.timesteps }, options);
    });
  }
}

/** Options of `FluxImg2ImgPipeline.run`; guidanceScale is 7 by default. */
export interface FluxImg2ImgRunOptions extends FluxOptions, ChangedSizeOptions {
  /** The picture to change, in [0, 1]: one for all, or one for each that is drawn. [1 or B, 3, H, W] */
  image: Tensor;
  /** How much of it is replaced: near 0 little, 1 all. By default 0.6. */
  strength?: number | undefined;
}

/** Pictures from a picture and a text by FLUX.1 (Black Forest Labs, 2024). */
export class FluxImg2ImgPipeline extends FluxBase {
  /** Draws the picture anew. Random numbers go to its latents first, then to the noise. */
  async run(runOptions: FluxImg2ImgRunOptions): Promise<FluxOutput> {
    return await ownRun("FluxImg2ImgPipeline", this.parts, runOptions, async (parts, runOptions) => {
      const guidanceScale = fluxGuidance(parts, runOptions.guidanceScale, 7);
      const options = { ...runOptions, guidanceScale };
      const { image, strength = 0.6 } = options;
      const [H, W] = changedSize(image, options, 2 * parts.vae.scaleFactor);
      const run = await beginFlux(parts, options, fluxSize(parts, H, W));
      const timesteps = sliceByStrength(parts.scheduler, strength, run.steps);
      const draw = () => this.#noisy(parts, image, timesteps[0]!, run, options);
      const start = await startFlux(parts, run, options, draw);
      return await drawFlux(parts, run, { start, timesteps }, options);
    });
  }

  /**
   * Latents of the picture with noise as at a timestep. Of a list only as many streams as pictures draw
   * latents.
   */
  async #noisy(
    parts: FluxParts,
    image: Tensor,
    t: number,
    { B, size }: FluxRun,
    options: FluxOptions,
  ): Promise<Tensor> {
    const { vae, scheduler } = parts;
    const { generator } = options;
    const [h, w] = size;
    const { pixels } = await readInitImage(image, B, vae, [h * vae.scaleFactor, w * vae.scaleFactor]);
    using _vae = await bringIn(parts, [vae], options);
    const streams = Array.isArray(generator) ? generator.slice(0, pixels.shape[0]) : generator;
    using made = scope(pixels);
    const shape = [B, vae.config.latent_channels, ...size];
    const original = drawLatents(vae, pixels, { generator: streams }).expand(shape);
    return made.keep(scheduler.addNoise(original, randn(shape, { generator }), t));
  }
}

/** The timesteps that are left; as in diffusers their number is rounded up, in Stable Diffusion down. */
function sliceByStrength(scheduler: Scheduler, strength: number, steps: number): number[] {
  if (!(strength > 0 && strength <= 1)) {
    throw new RangeError(`Cannot slice by strength: expected more than 0 and at most 1, got ${strength}`);
  }
  const start = Math.floor(steps - steps * strength) * scheduler.order;
  scheduler.setBeginIndex(start);
  return scheduler.timesteps.slice(start);
}
