import type { Tuple } from "../../core/shape.ts";
import type { Autoencoder } from "../../models/mod.ts";
import { manualSeed, type TorchGenerator } from "../../random/mod.ts";
import { cat, type Tensor, tensor } from "../../tensor/mod.ts";
import { fitColors, type LatentColors, type Planes } from "./colors.ts";
import { knownColors } from "./known.ts";
import { type Residents, withModels } from "../memory/acquire.ts";

const PICTURES = 4;
const LATENTS = 8; // on a side: 256 in all, for at most some 17 unknowns
const SHAPES = 12; // in a picture

/** The colours of an autoencoder's latents: known ones, else fitted once to its latents of some pictures. */
export function colorsOf(vae: Autoencoder): Promise<LatentColors> {
  const known = knownColors(vae.config);
  return vae.latentColors ??= known ? Promise.resolve(known) : fitToShapes(vae).catch((error) => {
    vae.latentColors = undefined; // another run may fit them
    throw error;
  });
}

/** Makes sure that the colours are known before a loop needs them, while there is room for the autoencoder. */
export async function prepareColors(
  parts: Residents & { vae: Autoencoder },
  options: { signal?: AbortSignal | undefined },
): Promise<void> {
  const { vae } = parts;
  if (knownColors(vae.config) || vae.latentColors) return;
  await withModels(parts, [vae], { signal: options.signal }, () => colorsOf(vae));
}

/** The colours that fit best to the pictures that the autoencoder decodes of the denoiser's latents. [B, C, h, w] */
export async function fitToLatents(vae: Autoencoder, latents: Tensor): Promise<LatentColors> {
  const { sample } = await vae.decodeChecked(vae.unscaleLatents(latents), { onNotice: () => {} });
  const picture = sample.div(2).add(0.5).clamp(0, 1); // [-1, 1] to [0, 1]
  return fitColors(await onHost(latents), averages(await onHost(picture), vae.scaleFactor));
}

/**
 * Random latents would decode to no picture;
 * those that the autoencoder makes of plain shapes are like those that it was trained with.
 */
async function fitToShapes(vae: Autoencoder): Promise<LatentColors> {
  const wasLoaded = vae.loaded;
  await vae.load();
  try {
    const side = LATENTS * vae.scaleFactor;
    const generator = manualSeed(0); // of its own: the run's noise stays as it is
    const pictures = Array.from({ length: PICTURES }, () => shapes(generator, vae.config.in_channels, side));
    return await fitToLatents(vae, vae.scaleLatents(vae.mode(cat(pictures))));
  } finally {
    if (!wasLoaded) vae.unload();
  }
}

/**
 * A picture in [-1, 1] of rectangles over each other,
 * each with its place, sides and colour. → [1, C, side, side]
 */
function shapes(generator: TorchGenerator, C: number, side: number): Tensor {
  const picture = new Float32Array(C * side * side);
  for (let shape = 0; shape < SHAPES; shape++) {
    const [x, y, width, height, ...color] = [...generator.rand(4 + C)] as [...Tuple<number, 4>, ...number[]];
    const sides = shape === 0 ? [2, 2] : [width, height]; // the first is the background
    for (let row = 0; row < side; row++) {
      for (let column = 0; column < side; column++) {
        const [dx, dy] = [Math.abs(column / side - x), Math.abs(row / side - y)];
        if (2 * dx > sides[0]! || 2 * dy > sides[1]!) continue;
        color.forEach((value, c) => picture[(c * side + row) * side + column] = 2 * value - 1);
      }
    }
  }
  return tensor(picture, [1, C, side, side]);
}

/** Means of squares of pixels. [B, 3, f h, f w] → [B, 3, h, w] */
function averages({ shape: [B, C, H, W], data }: Planes, f: number): Planes {
  const [h, w] = [H! / f, W! / f];
  const means = new Float32Array(B! * C! * h * w);
  for (let i = 0; i < B! * C! * H! * W!; i++) {
    const [plane, row, column] = [Math.floor(i / (H! * W!)), Math.floor(i / W!) % H!, i % W!];
    means[(plane * h + Math.floor(row / f)) * w + Math.floor(column / f)]! += data[i]! / f ** 2;
  }
  return { shape: [B!, C!, h, w], data: means };
}

async function onHost(x: Tensor): Promise<Planes> {
  return { shape: x.shape, data: await x.cast("f32").data() };
}
