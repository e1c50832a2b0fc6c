import {
  beginControl,
  type ControlImages,
  type ControlOptions,
  type ControlParts,
  firstImage,
} from "../latents/control.ts";
import { changedSize } from "../latents/init_image.ts";
import type { LatentOutput } from "../latents/loop.ts";
import type { PipelineOptions } from "../model_index.ts";
import { openParts } from "../open_parts.ts";
import { CONTROLNETS, openNets } from "../open_nets.ts";
import { ownRun } from "../run.ts";
import { PARTS, type StableDiffusionParts } from "../stable_diffusion/parts.ts";
import {
  fromImage,
  fromNoise,
  StableDiffusionBase,
  type StableDiffusionImg2ImgRunOptions,
  type StableDiffusionInpaintRunOptions,
  type StableDiffusionRunOptions,
  withinMask,
} from "../stable_diffusion/pipelines.ts";
import type { ControlTask } from "../stable_diffusion/run.ts";

/** The parts of Stable Diffusion with ControlNets. */
export interface StableDiffusionControlNetParts extends StableDiffusionParts, ControlParts {}

/** The base of all pipelines of Stable Diffusion with ControlNets. */
export abstract class StableDiffusionControlNetBase
  extends StableDiffusionBase<StableDiffusionControlNetParts> {
  /** The option of `fromPretrained` that names what controls them. */
  static readonly nets = "controlnet";

  /** The parts of a pipeline, and the ControlNets of the options or its own. */
  static override async open(
    pathOrRepo: string,
    options: PipelineOptions,
  ): Promise<[StableDiffusionControlNetParts]> {
    const parts = await openParts(pathOrRepo, options, PARTS);
    return [{ ...parts, controlnet: await openNets(CONTROLNETS, pathOrRepo, options, parts.memory) }];
  }
}

/** Opens a run's ControlNets for pictures of the size that is drawn. */
export function controlling(
  parts: ControlParts & Pick<StableDiffusionParts, "unet" | "vae">,
  images: ControlImages,
  options: ControlOptions,
): ControlTask {
  const f = parts.vae.scaleFactor;
  return (run, { length: steps }, [h, w]) =>
    beginControl(parts, images, options, { run, steps, size: [f * h, f * w] });
}

/** The size that is drawn: where nothing is said, that of the first picture that controls. */
export function controlledSize(
  image: ControlImages,
  options: { height?: number | undefined; width?: number | undefined },
  { vae }: { vae: { scaleFactor: number } },
): { height: number; width: number } {
  const [height, width] = changedSize(firstImage(image), options, vae.scaleFactor);
  return { height, width };
}

/** Options of `StableDiffusionControlNetPipeline.run`. */
export interface StableDiffusionControlNetRunOptions extends StableDiffusionRunOptions, ControlOptions {
  /**
   * The picture that controls, in [0, 1], one for each ControlNet; its size is drawn where no other is given.
   * [1 or B, 3, H, W]
   */
  image: ControlImages;
}

/** Pictures from texts, controlled by pictures such as edges or poses (Zhang et al. 2023, https://arxiv.org/abs/2302.05543). */
export class StableDiffusionControlNetPipeline extends StableDiffusionControlNetBase {
  /** Draws pictures of prompts. */
  async run(options: StableDiffusionControlNetRunOptions): Promise<LatentOutput> {
    return await ownRun("StableDiffusionControlNetPipeline", this.parts, options, (parts, options) => {
      const size = controlledSize(options.image, options, parts);
      return fromNoise(parts, { ...options, ...size }, controlling(parts, options.image, options));
    });
  }
}

/** Options of pipelines that change a picture under the control of others. */
export interface ControlImageOptions extends ControlOptions {
  /** The picture that controls, in [0, 1], one for each ControlNet; it is resized to what is drawn. [1 or B, 3, H, W] */
  controlImage: ControlImages;
}

/** Options of `StableDiffusionControlNetImg2ImgPipeline.run`. */
export interface StableDiffusionControlNetImg2ImgRunOptions
  extends StableDiffusionImg2ImgRunOptions, ControlImageOptions {}

/** A picture from a picture and a text, under the control of others. */
export class StableDiffusionControlNetImg2ImgPipeline extends StableDiffusionControlNetBase {
  /** Draws a changed picture. */
  async run(options: StableDiffusionControlNetImg2ImgRunOptions): Promise<LatentOutput> {
    return await ownRun("StableDiffusionControlNetImg2ImgPipeline", this.parts, options, (parts, options) => {
      const control = { controlnetConditioningScale: 0.8, ...given(options) };
      return fromImage(parts, options, controlling(parts, options.controlImage, control));
    });
  }
}

/** Options of `StableDiffusionControlNetInpaintPipeline.run`; `controlnetConditioningScale` is 0.5 by default. */
export interface StableDiffusionControlNetInpaintRunOptions
  extends StableDiffusionInpaintRunOptions, ControlImageOptions {}

/** Parts of a picture drawn anew, under the control of others. */
export class StableDiffusionControlNetInpaintPipeline extends StableDiffusionControlNetBase {
  /** Draws what the mask shows. */
  async run(options: StableDiffusionControlNetInpaintRunOptions): Promise<LatentOutput> {
    return await ownRun("StableDiffusionControlNetInpaintPipeline", this.parts, options, (parts, options) => {
      const control = { controlnetConditioningScale: 0.5, ...given(options) };
      return withinMask(parts, options, controlling(parts, options.controlImage, control));
    });
  }
}

/** The options that have a value. */
export function given<Options extends object>(options: Options): Options {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Options;
}
