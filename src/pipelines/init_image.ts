import { formatShape } from "../core/shape.ts";
import type { AutoencoderKL } from "../models/mod.ts";
import { randn, type RandomOptions } from "../random/mod.ts";
import type { Tensor } from "../tensor/mod.ts";
import { latentSide } from "./latent_size.ts";

/** A picture that a pipeline changes. */
export interface InitImage {
  /** In [-1, 1]. [1 or B, 3, H, W] */
  readonly pixels: Tensor;
  /** Sides of its latents. */
  readonly size: readonly [h: number, w: number];
}

/** Checks a picture in [0, 1] for a run that makes B pictures. */
export async function readInitImage(image: Tensor, B: number, vae: AutoencoderKL): Promise<InitImage> {
  const { shape } = image;
  const [count, channels, H, W] = shape;
  if (shape.length !== 4 || (count !== 1 && count !== B) || channels !== vae.config.in_channels) {
    throw new RangeError(
      `Cannot change a picture: expected [${
        B === 1 ? 1 : `1 or ${B}`
      }, ${vae.config.in_channels}, H, W], got ${formatShape(shape)}`,
    );
  }
  const { scaleFactor } = vae;
  const size = [latentSide("height", H, scaleFactor), latentSide("width", W, scaleFactor)] as const;
  await fractionsOf("a picture", image);
  return { pixels: image.mul(2).sub(1), size };
}

/** The values of a picture or a mask; throws unless all are in [0, 1]. */
export async function fractionsOf(what: string, x: Tensor): Promise<Float32Array> {
  const data = await x.cast("f32").data() as Float32Array;
  const wrong = data.find((value) => !(value >= 0 && value <= 1));
  if (wrong === undefined) return data;
  throw new RangeError(`Cannot change ${what}: expected values from 0 to 1, got ${wrong}`);
}

/**
 * Latents drawn from what the autoencoder makes of pictures, as the denoiser takes them. With `rows` one picture is
 * drawn so often, each time with other noise.
 */
export function drawLatents(
  vae: AutoencoderKL,
  pixels: Tensor,
  { generator, rows = pixels.shape[0] }: RandomOptions & { rows?: number },
): Tensor {
  const { mean, std } = vae.encode(pixels).latentDist;
  const noise = randn([rows, ...mean.shape.slice(1)], { generator });
  return vae.scaleLatents(mean.add(std.mul(noise)));
}
