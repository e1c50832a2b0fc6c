import type { Shape } from "../../core/shape.ts";
import { cat, free, scope, type Tensor } from "../../tensor/mod.ts";
import { sliceFlowByStrength } from "../latents/flow.ts";
import { drawLatents, noisedLatents, originalSize, readOriginal } from "../latents/init_image.ts";
import { beginInpainting, type InpaintingTask, readMask } from "../latents/inpainting.ts";
import { packLatents, unpackLatents } from "../latents/packing.ts";
import { withModels } from "../memory/acquire.ts";
import { ownRun } from "../run.ts";
import type { FluxParts } from "./parts.ts";
import { FluxBase, type FluxImg2ImgRunOptions } from "./pipelines.ts";
import {
  beginRun,
  draw,
  type Drawing,
  fillChannels,
  type FluxOutput,
  type FluxRun,
  startLatents,
} from "./run.ts";

/** Options of `FluxInpaintPipeline.run`; guidanceScale is 7 by default, `strength` 0.6. */
export interface FluxInpaintRunOptions extends Omit<FluxImg2ImgRunOptions, "latents"> {
  /**
   * The picture is drawn anew where this is 0.5 or more. It is resized to the picture; of colours the luma counts.
   * [1 or as many as pictures are given, 1 or 3, H, W]
   */
  mask: Tensor;
}

/** Draws parts of a picture anew by any FLUX.1: the rest is put back after each step. */
export class FluxInpaintPipeline extends FluxBase {
  /** Draws what the mask shows. Random numbers are drawn in the order of diffusers. */
  async run(options: FluxInpaintRunOptions): Promise<FluxOutput> {
    return await ownRun("FluxInpaintPipeline", this.parts, options, async (parts, options) => {
      const { image, strength = 0.6 } = options;
      const { vae, scheduler } = parts;
      const multiple = 2 * vae.scaleFactor;
      const size = originalSize(image, vae, options, multiple);
      using run = await beginRun(parts, options, size, { usualScale: 7 });
      const timesteps = sliceFlowByStrength(scheduler, strength, run.steps);
      const original = await readOriginal(image, run, vae, options, multiple);
      const mask = await readMask(options.mask, original, vae.scaleFactor, run);
      return await draw(parts, run, await beginPacked(parts, run, { original, mask, timesteps }, options));
    });
  }
}

/** Start of drawing within a mask, and what puts back the rest after each step, in packed latents. */
export async function beginPacked(
  parts: FluxParts,
  run: FluxRun,
  kept: Pick<InpaintingTask, "original" | "mask" | "timesteps">,
  options: FluxInpaintRunOptions,
): Promise<Pick<Drawing, "start" | "timesteps" | "after">> {
  const { size } = run;
  const task = { ...kept, run, from: "noised", sees: false } as const;
  const { start, after } = await beginInpainting(parts, task, options);
  return {
    start: await startLatents(parts, run, () => start),
    timesteps: kept.timesteps,
    after: (latents, step) => packLatents(after(unpackLatents(latents, size), step)),
  };
}

/** Options of `FluxFillPipeline.run`; guidanceScale is 30 by default, `strength` 1. */
export interface FluxFillRunOptions extends FluxImg2ImgRunOptions {
  /**
   * The picture is drawn anew where this is 0.5 or more. It is resized to the picture; of colours the luma counts.
   * [1 or as many as pictures are given, 1 or 3, H, W]
   */
  mask: Tensor;
}

/** Draws parts of a picture anew, or more around it, by FLUX.1 Fill, which sees the mask and the rest of the picture. */
export class FluxFillPipeline extends FluxBase {
  /** Draws what the mask shows. Random numbers go to the picture's latents, to the noise, and to the rest's latents. */
  async run(options: FluxFillRunOptions): Promise<FluxOutput> {
    return await ownRun("FluxFillPipeline", this.parts, options, async (parts, options) => {
      const { image, strength = 1, generator } = options;
      const { vae } = parts;
      const f = vae.scaleFactor;
      const size = originalSize(image, vae, options, 2 * f);
      const usual = { usualScale: 30, usualSteps: 50, beside: fillChannels(parts) };
      using run = await beginRun(parts, options, size, usual);
      const { B, owned } = run;
      const timesteps = sliceFlowByStrength(parts.scheduler, strength, run.steps);
      const original = await readOriginal(image, run, vae, options, 2 * f);
      if (!original.pixels) {
        throw new TypeError("Cannot fill latents: expected a picture as image, as the rest of it is encoded");
      }
      const mask = await readMask(options.mask, original, f, run);
      const rest = restOf(original.pixels, mask, run);
      const noised = () => noisedLatents(parts, original, run, timesteps[0], options, "picture");
      const start = await startLatents(parts, run, noised);
      const beside = await withModels(parts, [vae], options, () => {
        using made = scope(rest, mask);
        const own = Array.isArray(generator) ? generator.slice(0, rest.shape[0]) : generator; // one for each picture
        const known = drawLatents(vae, rest, { generator: own });
        const seen = [known, maskChannels(mask, f)].map((x) =>
          packLatents(x.expand([B, ...x.shape.slice(1)]))
        );
        return owned.adopt(made.keep(cat(seen, 2)), free);
      });
      return await draw(parts, run, { start, timesteps, beside });
    });
  }
}

/** What a mask leaves of a picture; the run's. [1 or B, 3, H, W] */
function restOf(pixels: Tensor, mask: Tensor, { owned }: FluxRun): Tensor {
  using made = scope();
  return owned.adopt(made.keep(pixels.mul(mask.neg().add(1))), free);
}

/** The f × f pixels of a mask under each latent as channels. [rows, 1, f h, f w] → [rows, f², h, w] */
function maskChannels(mask: Tensor, f: number): Tensor {
  const [rows, , H, W] = mask.shape as Shape<4>;
  const [h, w] = [H / f, W / f];
  return mask.reshape([rows, h, f, w, f]).permute([0, 2, 4, 1, 3]).reshape([rows, f * f, h, w]);
}
