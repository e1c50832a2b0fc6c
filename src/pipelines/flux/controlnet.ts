import type { FluxControlNetModel } from "../../models/mod.ts";
import { firstNoise } from "../../random/mod.ts";
import { firstImage } from "../latents/control.ts";
import { sliceFlowByStrength } from "../latents/flow.ts";
import { type ChangedSizeOptions, noisedLatents, originalSize, readOriginal } from "../latents/init_image.ts";
import { readMask } from "../latents/inpainting.ts";
import type { PipelineOptions } from "../model_index.ts";
import { FLUX_CONTROLNETS, openNets } from "../open_nets.ts";
import { openParts } from "../open_parts.ts";
import { ownRun } from "../run.ts";
import { beginFluxControl, type FluxControlNetControlOptions } from "./begin_control.ts";
import { beginPacked, type FluxInpaintRunOptions } from "./inpainting.ts";
import { type FluxParts, PARTS } from "./parts.ts";
import { FluxBase, type FluxImg2ImgRunOptions } from "./pipelines.ts";
import { beginRun, draw, type FluxOptions, type FluxOutput, startLatents } from "./run.ts";

/** The parts of FLUX.1 with ControlNets. */
export interface FluxControlNetParts extends FluxParts {
  /** Several see a picture each, and what they add is summed. */
  controlnet: FluxControlNetModel | readonly FluxControlNetModel[];
}

/** The base of all pipelines of FLUX.1 with ControlNets. */
export abstract class FluxControlNetBase extends FluxBase<FluxControlNetParts> {
  /** The option of `fromPretrained` that names what controls them. */
  static readonly nets = "controlnet";

  /** The parts of a pipeline, and the ControlNets of the options or its own. */
  static override async open(pathOrRepo: string, options: PipelineOptions): Promise<[FluxControlNetParts]> {
    const parts = await openParts(pathOrRepo, options, PARTS);
    return [{ ...parts, controlnet: await openNets(FLUX_CONTROLNETS, pathOrRepo, options, parts.memory) }];
  }
}

const usualScale = 7; // of guidance, for all of them

/**
 * Options of `FluxControlNetPipeline.run`; guidanceScale is 7 by default. Sides are those of the first picture that controls
 * where no others are given.
 */
export interface FluxControlNetRunOptions
  extends FluxOptions, ChangedSizeOptions, FluxControlNetControlOptions {}

/** Pictures from texts by FLUX.1, controlled by pictures such as edges or poses. */
export class FluxControlNetPipeline extends FluxControlNetBase {
  /** Draws pictures. Random numbers go to the latents of the pictures that control first, for each row, then to the noise. */
  async run(options: FluxControlNetRunOptions): Promise<FluxOutput> {
    return await ownRun("FluxControlNetPipeline", this.parts, options, async (parts, options) => {
      const { vae, scheduler } = parts;
      const size = originalSize(firstImage(options.controlImage), vae, options, 2 * vae.scaleFactor);
      using run = await beginRun(parts, options, size, { usualScale });
      const { timesteps } = scheduler;
      const control = await beginFluxControl(parts, run, timesteps.length, options);
      const shape = [run.B, vae.config.latent_channels, ...size];
      const start = await startLatents(parts, run, () => firstNoise(shape, { generator: options.generator }));
      return await draw(parts, run, { start, timesteps, control });
    });
  }
}

/** Options of `FluxControlNetImg2ImgPipeline.run`; guidanceScale is 7 by default, `strength` 0.6. */
export interface FluxControlNetImg2ImgRunOptions
  extends FluxImg2ImgRunOptions, FluxControlNetControlOptions {}

/** Pictures from a picture and a text by FLUX.1, under the control of others. */
export class FluxControlNetImg2ImgPipeline extends FluxControlNetBase {
  /**
   * Draws a changed picture. Random numbers go to the latents of the pictures that control, for each row, then to those of the
   * picture, then to the noise.
   */
  async run(options: FluxControlNetImg2ImgRunOptions): Promise<FluxOutput> {
    return await ownRun("FluxControlNetImg2ImgPipeline", this.parts, options, async (parts, options) => {
      const { image, strength = 0.6 } = options;
      const { vae } = parts;
      const multiple = 2 * vae.scaleFactor;
      const size = originalSize(image, vae, options, multiple);
      using run = await beginRun(parts, options, size, { usualScale });
      const timesteps = sliceFlowByStrength(parts.scheduler, strength, run.steps);
      const control = await beginFluxControl(parts, run, timesteps.length, options);
      const start = await startLatents(parts, run, async () => {
        const original = await readOriginal(image, run, vae, options, multiple);
        return await noisedLatents(parts, original, run, timesteps[0], options, "picture");
      });
      return await draw(parts, run, { start, timesteps, control });
    });
  }
}

/** Options of `FluxControlNetInpaintPipeline.run`; guidanceScale is 7 by default, `strength` 0.6. */
export interface FluxControlNetInpaintRunOptions
  extends FluxInpaintRunOptions, FluxControlNetControlOptions {}

/** Parts of a picture drawn anew by FLUX.1, under the control of others: the rest is put back after each step. */
export class FluxControlNetInpaintPipeline extends FluxControlNetBase {
  /**
   * Draws what the mask shows. Random numbers go to the latents of the pictures that control, for each row, then to those of
   * the picture, then to the noise.
   */
  async run(options: FluxControlNetInpaintRunOptions): Promise<FluxOutput> {
    return await ownRun("FluxControlNetInpaintPipeline", this.parts, options, async (parts, options) => {
      const { image, strength = 0.6 } = options;
      const { vae, scheduler } = parts;
      const multiple = 2 * vae.scaleFactor;
      const size = originalSize(image, vae, options, multiple);
      using run = await beginRun(parts, options, size, { usualScale });
      const timesteps = sliceFlowByStrength(scheduler, strength, run.steps);
      const original = await readOriginal(image, run, vae, options, multiple);
      const mask = await readMask(options.mask, original, vae.scaleFactor, run);
      const control = await beginFluxControl(parts, run, timesteps.length, options);
      const begun = await beginPacked(parts, run, { original, mask, timesteps }, options);
      return await draw(parts, run, { ...begun, control });
    });
  }
}
