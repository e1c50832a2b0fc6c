import type { AnyParts } from "denoise/pipelines";
import { multipleOf as multipleOfAdapters } from "../../src/pipelines/t2i_adapter/adapters.ts";
import type { Size } from "../command_line/options.ts";

/** The model that comes with Denoise, from the folder of the repository. */
export const EMBEDDED = "models/emoji-diffusion";

/** The name under which a server and workers offer it, and which their recipes have. */
export const EMBEDDED_NAME = "emoji-diffusion";

/** Steps where nothing else is said or usual. */
export const STEPS = 25;

/** Settings that a model was made for. */
export interface Usual {
  readonly steps?: number;
  readonly guidance?: number;
}

/** Such settings by the names of models. */
const USUAL: readonly [name: RegExp, settings: Usual][] = [
  [new RegExp(`^(models/)?${EMBEDDED_NAME}$`), { guidance: 4.5 }],
  [/flux[.-]?2-?_?klein(?!.*base)/i, { steps: 4 }], // distilled
  [/z-?_?image-?_?turbo/i, { steps: 8, guidance: 0 }], // distilled: a model of the same config is not
];

/** The settings that a model was made for, by its name. */
export function usualOf(model: string): Usual {
  return USUAL.find(([name]) => name.test(model))?.[1] ?? {};
}

/** The size for which a pipeline's model was trained. */
export function usualSize(parts: AnyParts): Size {
  const f = "vae" in parts ? parts.vae.scaleFactor : 1;
  const [h, w] = "unet" in parts ? parts.unet.sampleSize : [128, 128]; // transformers for 1024 x 1024
  return { width: f * w, height: f * h };
}

/** The size of a first pass: as it is said, else that of the first picture that controls it, less what the model cannot draw. */
export function firstSize(
  parts: AnyParts,
  { size }: { readonly size?: Size | undefined },
  [control]: readonly Size[],
): Size {
  return size ?? (control ? drawnOf(parts, control) : usualSize(parts));
}

/** A picture's size, less what the model cannot draw. */
export function drawnOf(parts: AnyParts, { width, height }: Size): Size {
  const multiple = multipleOf(parts);
  return { width: width - width % multiple, height: height - height % multiple };
}

/** Sides that a model's pictures have. */
export interface Sides {
  /** Those that are drawn where none are said, in pixels. */
  readonly size: Size;
  /** Divisor of all sides, in pixels. */
  readonly multiple: number;
}

/** The sides of what parts draw. */
export function usualSides(parts: AnyParts): Sides {
  return { size: usualSize(parts), multiple: multipleOf(parts) };
}

/** Divisor of a picture's sides, in pixels; T2I-Adapters have their own. */
export function multipleOf(parts: AnyParts): number {
  if (!("vae" in parts)) return 1;
  if ("adapter" in parts) return multipleOfAdapters(parts as Parameters<typeof multipleOfAdapters>[0]);
  return sideOfToken(parts.vae.scaleFactor, "transformer" in parts);
}

/** Pixels of a side of what a model takes as one: of transformers a token of 2 x 2 latents, of UNets a latent of `scaleFactor` pixels. */
export function sideOfToken(scaleFactor: number, isTransformer: boolean): number {
  return scaleFactor * (isTransformer ? 2 : 1);
}
