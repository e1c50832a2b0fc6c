import { scope, type Tensor } from "denoise";
import { interpolate, type InterpolateOptions } from "denoise/ops";
import { type PreviewOptions, type RunOptions, unpackLatents } from "denoise/pipelines";
import { resizeImage } from "../../src/io/images/resize.ts";
import { free } from "../../src/tensor/mod.ts";
import type { Size } from "../command_line/options.ts";
import { coverOf, type HiresSettings, hiresSteps, type Upscaler, UPSCALERS } from "./hires.ts";

/** What both passes of a run differ in. */
interface Stepping extends Pick<RunOptions, "onStep" | "preview"> {
  readonly numInferenceSteps: number;
}

/** Draws with the settings at hand, but for some. */
export type Pass<How> = (
  seeds: readonly bigint[],
  how: How,
  given: Readonly<Record<string, unknown>>,
) => Promise<{ images: Tensor; latents?: Tensor }>;

/** What two passes need to know of their model, and of the first. */
interface FirstPass {
  /** In pixels. */
  readonly size: Size;
  /** Pixels to a latent. */
  readonly f: number;
  /** True for transformers, which round the steps that a strength leaves up, and pack their latents. */
  readonly isFlow: boolean;
}

/**
 * Draws in one size, and what came of it, made larger, once more with noise of the same seed (A1111's "hires fix").
 */
export function inTwoPasses<How extends Stepping>(
  first: Pass<How>,
  second: Pass<How>,
  settings: HiresSettings & { readonly hires: Size },
  { size, f, isFlow }: FirstPass,
): (seeds: readonly bigint[], how: How, steps: number | undefined) => Promise<Tensor> {
  const { hires, "hires-upscaler": name = "latent", "hires-strength": strength } = settings;
  const upscaler: Upscaler = UPSCALERS[name];
  const isLatent = !("resample" in upscaler);
  return async (seeds, how, wanted = how.numInferenceSteps) => {
    const { onStep, preview } = how;
    const { of, taken } = hiresSteps(wanted, strength);
    let before = 0; // steps of the first pass
    const small = await first(seeds, {
      ...how,
      onStep: (step, t, x, steps) => {
        before = steps;
        return onStep?.(step, t, x, steps + taken);
      },
      preview: preview && amongAll(preview, 0, taken),
    }, { ...size, ...isLatent ? { outputType: "latent" } : {} });
    let image: Tensor | undefined;
    try {
      image = isLatent
        ? upscaled(small.images, latentsOf(size, f), latentsOf(hires, f), upscaler)
        : await resizeImage(small.images, [hires.height, hires.width], { ...upscaler, fit: "crop" });
      const { images } = await second(seeds, {
        ...how,
        numInferenceSteps: of,
        onStep: (step, t, x, steps) => onStep?.(before + step, t, x, before + steps),
        preview: preview && amongAll(preview, before, 0),
      }, { ...hires, image, strength: Math.min(1, (taken + (isFlow ? -0.5 : 0.5)) / of) });
      return images;
    } finally {
      free(image, small.images, small.latents);
    }
  };
}

/** Previews whose steps are counted among those of both passes, with so many before and behind. */
function amongAll(
  { wants, write, ...others }: PreviewOptions,
  before: number,
  behind: number,
): PreviewOptions {
  return {
    ...others,
    wants: wants && ((step, steps) => wants(before + step, before + steps + behind)),
    write: (picture, step) => write(picture, before + step),
  };
}

function latentsOf({ width, height }: Size, f: number): Size {
  return { width: width / f, height: height / f };
}

/** Makes latents [B, C, h, w], or such packed, so large that they cover a size, and cuts that out of their middle. → [B, C, H, W] */
function upscaled(
  latents: Tensor,
  from: Size,
  to: Size,
  how: Pick<InterpolateOptions, "mode" | "antialias">,
): Tensor {
  const { height, width } = coverOf(from, to);
  using made = scope();
  const x = latents.rank === 3 ? unpackLatents(latents, [from.height, from.width]) : latents;
  return made.keep(middleOf(interpolate(x, { ...how, size: [height, width] }), to));
}

/** A picture that controlled a first pass, for the second: what of it belongs to the part that is drawn once more. A copy. */
export async function covering(picture: Tensor, first: Size, hires: Size): Promise<Tensor> {
  const { height, width } = coverOf(first, hires);
  const large = await resizeImage(picture, [height, width]);
  using made = scope(large);
  return made.keep(middleOf(large, hires));
}

/** Cuts a size out of the middle. x [B, C, h, w] */
function middleOf(x: Tensor, { width, height }: Size): Tensor {
  const [h, w] = x.shape.slice(2) as [number, number];
  const [top, left] = [Math.floor((h - height) / 2), Math.floor((w - width) / 2)];
  return x.slice(2, top, top + height).slice(3, left, left + width).clone();
}
