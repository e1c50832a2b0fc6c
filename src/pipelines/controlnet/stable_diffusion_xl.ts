import type { ControlImages, ControlOptions, ControlParts } from "../latents/control.ts";
import type { LatentOutput } from "../latents/loop.ts";
import type { PipelineOptions } from "../model_index.ts";
import { CONTROLNETS, openNets } from "../open_nets.ts";
import { ownRun } from "../run.ts";
import { openPartsXL, type StableDiffusionXLParts } from "../stable_diffusion_xl/parts.ts";
import {
  fromImage,
  fromNoise,
  StableDiffusionXLBase,
  type StableDiffusionXLImg2ImgRunOptions,
  type StableDiffusionXLInpaintRunOptions,
  type StableDiffusionXLRunOptions,
  withinMask,
} from "../stable_diffusion_xl/pipelines.ts";
import { type ControlImageOptions, controlledSize, controlling, given } from "./stable_diffusion.ts";

/** The parts of Stable Diffusion XL with ControlNets. */
export interface StableDiffusionXLControlNetParts extends StableDiffusionXLParts, ControlParts {}

/** The base of all pipelines of Stable Diffusion XL with ControlNets. */
export abstract class StableDiffusionXLControlNetBase
  extends StableDiffusionXLBase<StableDiffusionXLControlNetParts> {
  /** The option of `fromPretrained` that names what controls them. */
  static readonly nets = "controlnet";

  /** The parts of a pipeline, and the ControlNets of the options or its own. */
  static override async open(
    pathOrRepo: string,
    options: PipelineOptions,
  ): Promise<[StableDiffusionXLControlNetParts]> {
    const parts = await openPartsXL(pathOrRepo, options);
    return [{ ...parts, controlnet: await openNets(CONTROLNETS, pathOrRepo, options, parts.memory) }];
  }
}

/** Options of `StableDiffusionXLControlNetPipeline.run`. */
export interface StableDiffusionXLControlNetRunOptions extends StableDiffusionXLRunOptions, ControlOptions {
  /**
   * The picture that controls, in [0, 1], one for each ControlNet; its size is drawn where no other is given.
   * [1 or B, 3, H, W]
   */
  image: ControlImages;
}

/** Pictures from texts by Stable Diffusion XL, controlled by pictures such as edges or poses. */
export class StableDiffusionXLControlNetPipeline extends StableDiffusionXLControlNetBase {
  /** Draws pictures of prompts. */
  async run(options: StableDiffusionXLControlNetRunOptions): Promise<LatentOutput> {
    return await ownRun("StableDiffusionXLControlNetPipeline", this.parts, options, (parts, options) => {
      const size = controlledSize(options.image, options, parts);
      return fromNoise(parts, { ...options, ...size }, controlling(parts, options.image, options));
    });
  }
}

/** Options of `StableDiffusionXLControlNetImg2ImgPipeline.run`; `strength` is 0.8 by default. */
export interface StableDiffusionXLControlNetImg2ImgRunOptions
  extends StableDiffusionXLImg2ImgRunOptions, ControlImageOptions {}

/** A picture from a picture and a text by Stable Diffusion XL, under the control of others. */
export class StableDiffusionXLControlNetImg2ImgPipeline extends StableDiffusionXLControlNetBase {
  /** Draws a changed picture. */
  async run(options: StableDiffusionXLControlNetImg2ImgRunOptions): Promise<LatentOutput> {
    const name = "StableDiffusionXLControlNetImg2ImgPipeline";
    return await ownRun(name, this.parts, options, (parts, options) => {
      const told = { controlnetConditioningScale: 0.8, ...given(options) };
      return fromImage(parts, told, controlling(parts, options.controlImage, told), 0.8);
    });
  }
}

/** Options of `StableDiffusionXLControlNetInpaintPipeline.run`; `guidanceScale` is 5 by default. */
export interface StableDiffusionXLControlNetInpaintRunOptions
  extends StableDiffusionXLInpaintRunOptions, ControlImageOptions {}

/** Parts of a picture drawn anew by Stable Diffusion XL, under the control of others. */
export class StableDiffusionXLControlNetInpaintPipeline extends StableDiffusionXLControlNetBase {
  /** Draws what the mask shows. */
  async run(options: StableDiffusionXLControlNetInpaintRunOptions): Promise<LatentOutput> {
    const name = "StableDiffusionXLControlNetInpaintPipeline";
    return await ownRun(name, this.parts, options, (parts, options) => {
      const told = { guidanceScale: 5, ...given(options) };
      return withinMask(parts, told, controlling(parts, options.controlImage, told));
    });
  }
}
