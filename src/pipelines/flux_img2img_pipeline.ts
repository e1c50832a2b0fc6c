import { expectSingleFile } from "../io/single_file/options.ts";
import { randn } from "../random/mod.ts";
import type { Scheduler } from "../schedulers/mod.ts";
import { scope, type Tensor } from "../tensor/mod.ts";
import { type FluxParts, loadPartsFlux } from "./flux_parts.ts";
import {
  beginFlux,
  drawFlux,
  fluxGuidance,
  type FluxOptions,
  type FluxOutput,
  type FluxRun,
  fluxSize,
  startFlux,
} from "./flux_run.ts";
import { changedSize, type ChangedSizeOptions, drawLatents, readInitImage } from "./init_image.ts";
import { LoraPipeline } from "./lora.ts";
import type { PipelineOptions } from "./pipeline.ts";
import { bringIn } from "./residency.ts";
import { expectRunOptions } from "./run_options.ts";

/** Options of `FluxImg2ImgPipeline.run`; guidanceScale is 7 by default. */
export interface FluxImg2ImgRunOptions extends FluxOptions, ChangedSizeOptions {
  /** The picture to change, in [0, 1]: one for all, or one for each that is drawn. [1 or B, 3, H, W] */
  image: Tensor;
  /** How much of it is replaced: near 0 little, 1 all. By default 0.6. */
  strength?: number | undefined;
}

/** Pictures from a picture and a text by FLUX.1 (Black Forest Labs, 2024). */
export class FluxImg2ImgPipeline extends LoraPipeline<FluxParts> {
  /** Opens the parts of a folder or a repository. */
  static async fromPretrained<Class extends new (parts: FluxParts) => FluxImg2ImgPipeline>(
    this: Class,
    pathOrRepo: string,
    options: PipelineOptions = {},
  ): Promise<InstanceType<Class>> {
    return new this(await loadPartsFlux(pathOrRepo, options)) as InstanceType<Class>;
  }

  /** Opens the parts of one file in its authors' layout; `base` has what it lacks, e.g. the tokenizers. */
  static async fromSingleFile<Class extends new (parts: FluxParts) => FluxImg2ImgPipeline>(
    this: Class,
    path: string,
    options: PipelineOptions = {},
  ): Promise<InstanceType<Class>> {
    return new this(await loadPartsFlux(expectSingleFile(path), options)) as InstanceType<Class>;
  }

  /** Draws the picture anew. Random numbers go to its latents first, then to the noise. */
  async run(runOptions: FluxImg2ImgRunOptions): Promise<FluxOutput> {
    expectRunOptions("FluxImg2ImgPipeline", runOptions);
    const guidanceScale = fluxGuidance(this.parts, runOptions.guidanceScale, 7);
    const options = { ...runOptions, guidanceScale };
    const { image, strength = 0.6 } = options;
    const [H, W] = changedSize(image, options, 2 * this.parts.vae.scaleFactor);
    const run = await beginFlux(this.parts, options, fluxSize(this.parts, H, W));
    const timesteps = sliceByStrength(this.parts.scheduler, strength, run.steps);
    const draw = () => this.#noisy(image, timesteps[0]!, run, options);
    const start = await startFlux(this.parts, run, options, draw);
    return await drawFlux(this.parts, run, { start, timesteps }, options);
  }

  /**
   * Latents of the picture with noise as at a timestep. Of a list only as many streams as pictures draw
   * latents.
   */
  async #noisy(image: Tensor, t: number, { B, size }: FluxRun, options: FluxOptions): Promise<Tensor> {
    const { vae, scheduler } = this.parts;
    const { generator } = options;
    const [h, w] = size;
    const { pixels } = await readInitImage(image, B, vae, [h * vae.scaleFactor, w * vae.scaleFactor]);
    using _vae = await bringIn(this.parts, [vae], options);
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
