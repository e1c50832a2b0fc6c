import type { AutoencoderKL, UNet2DConditionModel } from "../../models/mod.ts";

/** How large a picture is to be. */
export interface SizeOptions {
  /** Of the picture in pixels; by default what the model was trained for. */
  height?: number | undefined;
  /** Of the picture in pixels; by default what the model was trained for. */
  width?: number | undefined;
}

/** Height and width of the latents of a picture. */
export function latentSize(
  { unet, vae }: { unet: UNet2DConditionModel; vae: AutoencoderKL },
  { height, width }: SizeOptions,
): [number, number] {
  const { sample_size } = unet.config;
  const [H, W] = typeof sample_size === "number" ? [sample_size, sample_size] : sample_size ?? [64, 64];
  return [
    height === undefined ? H : latentSide("height", height, vae.scaleFactor),
    width === undefined ? W : latentSide("width", width, vae.scaleFactor),
  ];
}

/** A side of the latents for one in pixels. */
export function latentSide(name: string, pixels: number, scaleFactor: number): number {
  if (Number.isSafeInteger(pixels) && pixels >= scaleFactor && pixels % scaleFactor === 0) {
    return pixels / scaleFactor;
  }
  const nearest = Math.max(1, Math.round(pixels / scaleFactor) || 1) * scaleFactor;
  throw new RangeError(
    `Cannot draw with ${name} ${pixels}: expected a multiple of ${scaleFactor} from ${scaleFactor}, such as ${nearest}`,
  );
}
