import { imageIds } from "../../models/flux_transformer_2d/pos_embed.ts";
import { randn } from "../../random/mod.ts";
import { scope, type Tensor } from "../../tensor/mod.ts";
import { changedSize, readInitImage } from "../latents/init_image.ts";
import { packLatents } from "../latents/packing.ts";
import { withModels } from "../memory/acquire.ts";
import { ownRun } from "../run.ts";
import { expectCount } from "../run_options.ts";
import type { SizeOptions } from "../size.ts";
import type { FluxParts } from "./parts.ts";
import { FluxBase } from "./pipelines.ts";
import { beginRun, draw, type FluxOptions, type FluxOutput, latentSize, startLatents } from "./run.ts";

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
      const run = await beginRun(parts, options, size, { usualScale: 3.5 });
      const { B } = run;
      const seen = image && await readPicture(parts, image, B, options);
      const start = await startLatents(
        parts,
        run,
        () => randn([B, vae.config.latent_channels, ...size], { generator }),
      );
      return await draw(parts, run, { start, timesteps: scheduler.timesteps, ...seen });
    });
  }
}

/** Width and height of pictures that Kontext was trained with, in this order; and the same the other way round. */
const SIZES = [
  [672, 1568],
  [688, 1504],
  [720, 1456],
  [752, 1392],
  [800, 1328],
  [832, 1248],
  [880, 1184],
  [944, 1104],
  [1024, 1024],
] as const;

/** The size of SIZES whose ratio is likest to that of a picture, the narrower of two. */
export function kontextSize([H, W]: readonly [H: number, W: number]): [H: number, W: number] {
  const sizes = [...SIZES, ...SIZES.toReversed().slice(1).map(([w, h]) => [h, w] as const)]; // from narrow to wide
  const far = sizes.map(([w, h]) => Math.abs(W / H - w / h));
  const [w, h] = sizes[far.indexOf(Math.min(...far))]!;
  return [h, w];
}

/** Sides of the latents of a picture with the ratio and the area that the options say; tells where these are not its sides. */
function drawnSize(
  parts: FluxParts,
  { height, width, maxArea = 1024 ** 2, onNotice = console.warn }: FluxKontextRunOptions,
): [h: number, w: number] {
  expectCount("maxArea", maxArea);
  const f = parts.vae.scaleFactor;
  const [H, W] = latentSize(parts, height, width).map((side) => f * side) as [number, number];
  const fitting = (ratio: number) =>
    Math.max(1, Math.floor(Math.round(Math.sqrt(maxArea * ratio)) / (2 * f)));
  const [h, w] = [2 * fitting(H / W), 2 * fitting(W / H)];
  const isOther = f * h !== H || f * w !== W;
  if (isOther && (height ?? width) !== undefined) {
    onNotice(`The picture is drawn in ${f * w}x${f * h} instead of ${W}x${H}, as maxArea is ${maxArea}`);
  }
  return [h, w];
}

/** Tokens of the picture that the prompt is about, which stand at the same places but one picture farther. */
async function readPicture(parts: FluxParts, image: Tensor, B: number, options: FluxKontextRunOptions) {
  const { vae } = parts;
  const own = changedSize(image, {}, 2 * vae.scaleFactor);
  const [H, W] = image.shape.slice(-2) as [number, number];
  const to = options.autoResize ?? true ? kontextSize([H, W]) : own;
  const { pixels, size } = await readInitImage(image, B, vae, to);
  const behind = await withModels(parts, [vae], options, () => {
    using made = scope(pixels);
    const latents = vae.scaleLatents(vae.mode(pixels));
    return made.keep(packLatents(latents.expand([B, ...latents.shape.slice(1)])));
  });
  return { behind, behindIds: imageIds(size).map(([, y, x]) => [1, y!, x!]) };
}
