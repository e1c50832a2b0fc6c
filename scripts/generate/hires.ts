import type { InterpolateOptions } from "denoise/ops";
import type { Size } from "../command_line/options.ts";

/** How the first pass is made larger: its latents, or its pictures. */
export type Upscaler = Pick<InterpolateOptions, "mode" | "antialias"> | {
  readonly resample: "lanczos" | "nearest";
};

/** Names of upscalers: A1111's "Latent (bicubic)" is latent-bicubic. */
export type UpscalerName =
  | "latent"
  | "latent-antialiased"
  | "latent-bicubic"
  | "latent-bicubic-antialiased"
  | "latent-nearest"
  | "latent-nearest-exact"
  | "lanczos"
  | "nearest";

/** Upscalers by their names. */
export const UPSCALERS: Readonly<Record<UpscalerName, Upscaler>> = {
  "latent": { mode: "bilinear" },
  "latent-antialiased": { mode: "bilinear", antialias: true },
  "latent-bicubic": { mode: "bicubic" },
  "latent-bicubic-antialiased": { mode: "bicubic", antialias: true },
  "latent-nearest": { mode: "nearest" },
  "latent-nearest-exact": { mode: "nearest-exact" },
  "lanczos": { resample: "lanczos" },
  "nearest": { resample: "nearest" },
};

/** Their names. */
export const upscalerNames = Object.keys(UPSCALERS) as UpscalerName[];

/** Settings of a second pass in another size, as A1111's "hires fix" has it. */
export interface HiresSettings {
  /** Stable Diffusion, XL, FLUX.1, Z-Image: the size of a second pass, in pixels, which draws what the first drew once more. */
  readonly hires?: Size | undefined;
  /** How what the first drew is made larger: its latents, or its picture. */
  readonly "hires-upscaler"?: UpscalerName | undefined;
  /** How much is drawn anew, above 0 to 1. */
  readonly "hires-strength"?: number | undefined;
  /** Steps of the second pass, as many as of the first by default. */
  readonly "hires-steps"?: number | undefined;
  /** The second pass's scheduler, the first one's by default. */
  readonly "hires-scheduler"?: string | undefined;
  /** What the second pass draws, the same by default. */
  readonly "hires-prompt"?: string | undefined;
  /** What the second pass does not draw, the same by default. */
  readonly "hires-negative"?: string | undefined;
}

/** Their names. */
export const hiresNames = [
  "hires",
  "hires-upscaler",
  "hires-strength",
  "hires-steps",
  "hires-scheduler",
  "hires-prompt",
  "hires-negative",
] as const satisfies (keyof HiresSettings)[];

const STRENGTH = 0.7;
const MOST_COVER = 16; // times the size of the second pass
/** The most steps of schedulers: fewer than models were trained for, 1000, as some count these from 1. */
export const MOST_STEPS = 999;

/** Throws for steps of a second pass that no scheduler has. */
export function expectHires(settings: HiresSettings & { readonly steps: number }): void {
  if (settings.hires === undefined) return;
  const { of, taken } = hiresSteps(settings["hires-steps"] ?? settings.steps, settings["hires-strength"]);
  if (of <= MOST_STEPS) return;
  throw new RangeError(
    `Cannot draw ${taken} steps of a second pass with this strength: expected to be the last of at most ${MOST_STEPS}, ` +
      `got ${of}; take fewer, or more strength`,
  );
}

/** The size of a picture's shape that covers another. */
export function coverOf({ width: w, height: h }: Size, { width, height }: Size): Size {
  return w * height < h * width
    ? { width, height: Math.floor(width * h / w) }
    : { width: Math.floor(height * w / h), height };
}

/** Throws where what is drawn in one size would have to be made far larger than the second pass, which is cut out of it. */
export function expectShape(from: Size, hires: Size): void {
  const cover = coverOf(from, hires);
  if (cover.width * cover.height <= MOST_COVER * hires.width * hires.height) return;
  throw new RangeError(
    `Cannot draw ${from.width}x${from.height} once more in ${hires.width}x${hires.height}: expected a shape more like its ` +
      `own, of which at least a ${MOST_COVER}th is kept; take another size, or another of the second pass`,
  );
}

/** A second pass takes all its steps, the last ones of more: as many of these as its strength says. */
export function hiresSteps(taken: number, strength = STRENGTH): { of: number; taken: number } {
  return { of: Math.floor(taken / Math.min(strength, 0.999)), taken };
}

/** True where the second pass begins with pictures instead of latents. */
export function seesPictures({ hires, "hires-upscaler": upscaler = "latent" }: HiresSettings): boolean {
  return hires !== undefined && "resample" in UPSCALERS[upscaler];
}
