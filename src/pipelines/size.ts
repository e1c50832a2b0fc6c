import { formatShape, sameNumbers } from "../core/shape.ts";
import type { Autoencoder, UNet2DConditionModel } from "../models/mod.ts";
import { firstNoise, type RandomOptions } from "../random/mod.ts";
import type { Scheduler } from "../schedulers/mod.ts";
import { free, scope, type Tensor } from "../tensor/mod.ts";
import type { BegunRun } from "./latents/begun.ts";

/** The size of the pictures that are drawn. */
export interface SizeOptions {
  /** In pixels; by default that which the model was trained for. */
  height?: number | undefined;
  /** In pixels; by default that which the model was trained for. */
  width?: number | undefined;
}

/** Height and width of the latents of a picture. */
export function latentSize(
  { unet, vae }: { unet: UNet2DConditionModel; vae: Autoencoder },
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

/** The noise to begin with, for pipelines that draw from noise. */
export interface StartNoiseOptions {
  /** The noise to begin with. [B, C, H / 8, W / 8] */
  latents?: Tensor | undefined;
}

/** Noise as a scheduler begins with it, the run's: drawn, or given in the same shape. */
export function startNoise(
  scheduler: Scheduler,
  { owned }: BegunRun,
  shape: readonly number[],
  { latents, generator }: StartNoiseOptions & RandomOptions,
): Tensor {
  using made = scope();
  const noise = latents ?? firstNoise(shape, { generator });
  if (!sameNumbers(noise.shape, shape)) {
    throw new RangeError(
      `Cannot draw: expected latents ${formatShape(shape)}, got ${formatShape(noise.shape)}`,
    );
  }
  return owned.adopt(made.keep(noise.mul(scheduler.initNoiseSigma)), free);
}
