import { ZImageControlNetModel } from "../../models/mod.ts";
import { upsampleNearest } from "../../ops/mod.ts";
import { cat, free, scope, type Tensor, zeros } from "../../tensor/mod.ts";
import { readControlImage } from "../latents/control.ts";
import { changedSize, type ChangedSizeOptions } from "../latents/init_image.ts";
import { readMask } from "../latents/inpainting.ts";
import type { LatentOutput } from "../latents/loop.ts";
import { withModels } from "../memory/acquire.ts";
import type { PipelineOptions } from "../model_index.ts";
import { openNets, Z_IMAGE_CONTROLNET } from "../open_nets.ts";
import { openParts } from "../open_parts.ts";
import { ownRun } from "../run.ts";
import { expectNumber } from "../run_options.ts";
import { startNoise, type StartNoiseOptions } from "../size.ts";
import { PARTS, type ZImageParts } from "./parts.ts";
import { ZImageBase } from "./pipelines.ts";
import { beginRun, draw, type ZImageControl, type ZImageOptions, type ZImageRun } from "./run.ts";

/** The parts of Z-Image with a ControlNet. */
export interface ZImageControlNetParts extends ZImageParts {
  /** It shares layers of the transformer. */
  controlnet: ZImageControlNetModel;
}

/** The base of both pipelines of Z-Image with a ControlNet. */
export abstract class ZImageControlNetBase extends ZImageBase<ZImageControlNetParts> {
  /** The option of `fromPretrained` that names what controls them. */
  static readonly nets = "controlnet";

  /** The parts of a pipeline, and the ControlNet of the options or its own. */
  static override async open(pathOrRepo: string, options: PipelineOptions): Promise<[ZImageControlNetParts]> {
    const count = [options.controlnet].flat().length;
    if (count !== 1) {
      throw new RangeError(`Cannot control by ${count} ControlNets: expected one, as Z-Image takes one`);
    }
    const parts = await openParts(pathOrRepo, options, PARTS);
    const opened = await openNets(Z_IMAGE_CONTROLNET, pathOrRepo, options, parts.memory);
    return [{ ...parts, controlnet: [opened].flat()[0]! }];
  }
}

/** Options of `ZImageControlNetPipeline.run`. */
export interface ZImageControlNetRunOptions extends ZImageOptions, ChangedSizeOptions, StartNoiseOptions {
  /** The picture that controls, in [0, 1]; its size is drawn where no other is given. [1 or B, 3, H, W] */
  controlImage: Tensor;
  /** Factor of what the ControlNet adds; 0.75 by default. */
  controlnetConditioningScale?: number | undefined;
}

/** Pictures from texts by Z-Image, controlled by a picture such as edges or a pose. */
export class ZImageControlNetPipeline extends ZImageControlNetBase {
  /** Draws pictures of prompts. */
  async run(options: ZImageControlNetRunOptions): Promise<LatentOutput> {
    return await ownRun("ZImageControlNetPipeline", this.parts, options, async (parts, options) => {
      expectOne("controlImage", options.controlImage);
      const filledUp = (C: number) => (control: Tensor) => {
        const { shape: [B, own, h, w] } = control;
        return own === C ? [control] : [control, zeros([B!, C - own!, h!, w!])];
      };
      const prepare = (_run: ZImageRun, C: number) => Promise.resolve(filledUp(C));
      return await drawControlled(parts, options, options.controlImage, prepare);
    });
  }
}

/** Options of `ZImageControlNetInpaintPipeline.run`. */
export interface ZImageControlNetInpaintRunOptions extends ZImageControlNetRunOptions {
  /** The picture to change, in [0, 1]; its size is drawn where no other is given. [1 or B, 3, H, W] */
  image: Tensor;
  /**
   * The picture is drawn anew where this is 0.5 or more. It is resized to the picture; of colours the luma counts.
   * [1 or as many as pictures are given, 1 or 3, H, W]
   */
  mask: Tensor;
}

/** Parts of a picture drawn anew by Z-Image: its ControlNet, of version 2, sees the rest beside what controls. */
export class ZImageControlNetInpaintPipeline extends ZImageControlNetBase {
  /** Draws a picture of which the mask shows what is new; the rest comes out alike, but not to the pixel. */
  async run(options: ZImageControlNetInpaintRunOptions): Promise<LatentOutput> {
    return await ownRun("ZImageControlNetInpaintPipeline", this.parts, options, async (parts, options) => {
      const { vae } = parts;
      const { image, mask } = options;
      expectOne("controlImage", options.controlImage);
      expectOne("image", image);
      return await drawControlled(parts, options, image, async (run, C) => {
        const expected = 2 * vae.config.latent_channels + 1;
        if (C !== expected) {
          throw new TypeError(
            `Cannot inpaint by this ControlNet: expected control_in_dim ${expected}, as of version 2, got ${C}`,
          );
        }
        const { size } = run;
        const pixels = await readPixels(image, run, parts);
        const drawn = await readMask(mask, { pixels, size }, vae.scaleFactor, run);
        return (control) => {
          const kept = drawn.neg().add(1);
          const rest = vae.scaleLatents(vae.mode(pixels.mul(kept)));
          free(pixels, drawn); // early, as they may be large
          return [control, upsampleNearest(kept, { size }), rest];
        };
      });
    });
  }
}

/**
 * Draws pictures of the size of `sized`. `prepare` promises a function which adds to the latents of the picture that
 * controls what else the ControlNet sees, so that all have C channels together. Each [1 or B, c, h, w]
 */
async function drawControlled(
  parts: ZImageControlNetParts,
  options: ZImageControlNetRunOptions,
  sized: Tensor,
  prepare: (run: ZImageRun, C: number) => Promise<(control: Tensor) => Tensor[]>,
): Promise<LatentOutput> {
  const { transformer, controlnet, vae, scheduler } = parts;
  const { controlImage, controlnetConditioningScale: scale = 0.75 } = options;
  expectNumber("controlnetConditioningScale", scale);
  const net = ZImageControlNetModel.fromTransformer(controlnet, transformer);
  const { control_in_dim: C } = net.config;
  const { latent_channels } = vae.config;
  if (C < latent_channels) {
    throw new TypeError(
      `Cannot control by this ControlNet: expected control_in_dim of at least ${latent_channels}, the latents' channels, got ${C}`,
    );
  }
  const f = vae.scaleFactor;
  const [H, W] = changedSize(sized, options, 2 * f);
  using run = await beginRun(parts, options, [H / f, W / f]);
  const { B, guided, size, owned } = run;
  const pixels = await readPixels(controlImage, run, parts);
  const channelsOf = await prepare(run, C);
  const control: ZImageControl = await withModels(parts, [vae], options, () => {
    using made = scope(pixels);
    const channels = channelsOf(vae.scaleLatents(vae.mode(pixels)));
    const own = (x: Tensor) => owned.adopt(made.keep(x), free);
    const context = own(cat(channels.map((x) => x.expand([B, ...x.shape.slice(1)])), 1));
    return { net, context, contexts: guided ? own(cat([context, context])) : context, scale };
  });
  const start = startNoise(scheduler, run, [B, latent_channels, ...size], options);
  return await draw(parts, run, { start, timesteps: scheduler.timesteps, control });
}

/** A picture in [-1, 1], in the size that is drawn; the run's. [1 or B, 3, H, W] */
async function readPixels(
  image: Tensor,
  { B, size: [h, w], owned }: ZImageRun,
  { vae }: ZImageParts,
): Promise<Tensor> {
  const f = vae.scaleFactor;
  const picture = await readControlImage(image, B, [f * h, f * w], vae.config.in_channels);
  using made = scope(picture);
  return owned.adopt(made.keep(picture.mul(2).sub(1)), free);
}

function expectOne(name: string, image: Tensor | undefined): void {
  if (!image) throw new TypeError(`Cannot control: expected ${name}, got none`);
}
