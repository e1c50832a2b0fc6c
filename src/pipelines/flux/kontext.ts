import { imageIds } from "../../models/flux_transformer_2d/pos_embed.ts";
import { firstNoise } from "../../random/mod.ts";
import { free, scope, type Tensor } from "../../tensor/mod.ts";
import { changedSize, readInitImage } from "../latents/init_image.ts";
import { packLatents } from "../latents/packing.ts";
import { withModels } from "../memory/acquire.ts";
import { ownRun } from "../run.ts";
import { expectCount } from "../run_options.ts";
import type { SizeOptions } from "../size.ts";
import type { FluxParts } from "./parts.ts";
import { FluxBase } from "./pipelines.ts";
import {
  beginRun,
  draw,
  type FluxOptions,
  type FluxOutput,
  type FluxRun,
  latentSize,
  startLatents,
} from "./run.ts";
import { KONTEXT_AREA, kontextSize, sidesOfArea } from "./sizes.ts";

/**
 * Options of `FluxKontextPipeline.run`; guidanceScale is 3.5 by default. Of height and width, 1024 pixels by default, only the
 * ratio counts: the picture gets as many pixels as maxArea says.
 */
export interface FluxKontextRunOptions extends FluxOptions, SizeOptions {
  /** The picture that the prompt is about, in [0, 1]: one for all, or one for each that is drawn. [1 or B, 3, H, W] */
  image?: Tensor | undefined;
  /** Pixels of the picture that is drawn, less what the model cannot draw; 1024² by default, as the model was trained. */
  maxArea?: number | undefined;
  /** Resizes `image` to the size among those that the model was trained for whose sides are likest; true by default. */
  autoResize?: boolean | undefined;
}

/** Pictures from a picture and words that say what is to become of it, by FLUX.1 Kontext (Black Forest Labs, 2025). */
export class FluxKontextPipeline extends FluxBase {
  /** Draws pictures. The picture's latents are the likeliest, so random numbers go to the noise alone. */
  async run(options: FluxKontextRunOptions): Promise<FluxOutput> {
    return await ownRun("FluxKontextPipeline", this.parts, options, async (parts, options) => {
      const { image, generator } = options;
      const { vae, scheduler } = parts;
      const size = drawnSize(parts, options);
      using run = await beginRun(parts, options, size, { usualScale: 3.5 });
      const { B } = run;
      const seen = image && await readPicture(parts, image, run, options);
      const start = await startLatents(
        parts,
        run,
        () => firstNoise([B, vae.config.latent_channels, ...size], { generator }),
      );
      return await draw(parts, run, { start, timesteps: scheduler.timesteps, ...seen });
    });
  }
}

/** Sides of the latents of a picture with the ratio and the area that the options say; tells where these are not its sides. */
function drawnSize(
  parts: FluxParts,
  { height, width, maxArea = KONTEXT_AREA, onNotice = console.warn }: FluxKontextRunOptions,
): [h: number, w: number] {
  expectCount("maxArea", maxArea);
  const f = parts.vae.scaleFactor;
  const [H, W] = latentSize(parts, height, width).map((side) => f * side) as [number, number];
  const [drawnH, drawnW] = sidesOfArea([H, W], maxArea, 2 * f);
  const isOther = drawnH !== H || drawnW !== W;
  if (isOther && (height ?? width) !== undefined) {
    onNotice(`The picture is drawn in ${drawnW}x${drawnH} instead of ${W}x${H}, as maxArea is ${maxArea}`);
  }
  return [drawnH / f, drawnW / f];
}

/** Tokens of the picture that the prompt is about, the run's, which stand at the same places but one picture farther. */
async function readPicture(
  parts: FluxParts,
  image: Tensor,
  { B, owned }: FluxRun,
  options: FluxKontextRunOptions,
) {
  const { vae } = parts;
  const own = changedSize(image, {}, 2 * vae.scaleFactor);
  const [H, W] = image.shape.slice(-2) as [number, number];
  const to = options.autoResize ?? true ? kontextSize([H, W]) : own;
  const { pixels, size } = await readInitImage(image, B, vae, to);
  owned.adopt(pixels, free);
  const behind = await withModels(parts, [vae], options, () => {
    using made = scope(pixels);
    const latents = vae.scaleLatents(vae.mode(pixels));
    return owned.adopt(made.keep(packLatents(latents.expand([B, ...latents.shape.slice(1)]))), free);
  });
  return { behind, behindIds: imageIds(size).map(([, y, x]) => [1, y!, x!]) };
}
