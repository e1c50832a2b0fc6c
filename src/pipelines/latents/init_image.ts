import { formatShape } from "../../core/shape.ts";
import { type Image, inMode } from "../../io/images/image.ts";
import { resizeImage } from "../../io/images/resize.ts";
import { imageTensor } from "../../io/images/tensors.ts";
import type { Autoencoder, LatentsOptions } from "../../models/mod.ts";
import { firstNoise, type RandomOptions } from "../../random/mod.ts";
import type { Scheduler } from "../../schedulers/mod.ts";
import { free, scope, type Tensor } from "../../tensor/mod.ts";
import { type AcquireOptions, type Residents, withModels } from "../memory/acquire.ts";
import { latentSide } from "../size.ts";
import type { BegunRun } from "./begun.ts";

/**
 * The size to which a picture is resized before it is changed; by default it keeps its own. There diffusers'
 * inpainting and FLUX would stretch it to the size that the model was trained for.
 */
export interface ChangedSizeOptions {
  /** In pixels, to which the picture is resized; by default its own, less what the model cannot draw. */
  height?: number | undefined;
  /** In pixels, to which the picture is resized; by default its own, less what the model cannot draw. */
  width?: number | undefined;
}

/** A picture that a pipeline changes. */
export interface InitImage {
  /** In [-1, 1]. [1 or B, 3, H, W] */
  readonly pixels: Tensor;
  /** Sides of its latents. */
  readonly size: readonly [h: number, w: number];
}

/**
 * Checks a picture in [0, 1] for a run that makes B pictures, and resizes it by Lanczos where it has another
 * size than is drawn: as diffusers' VaeImageProcessor does with pictures of PIL.
 */
export async function readInitImage(
  image: Tensor,
  B: number,
  vae: Autoencoder,
  [H, W]: readonly [H: number, W: number],
): Promise<InitImage> {
  const { shape } = image;
  const [count, channels] = shape;
  if (shape.length !== 4 || (count !== 1 && count !== B) || channels !== vae.config.in_channels) {
    throw new RangeError(
      `Cannot change a picture: expected [${
        B === 1 ? 1 : `1 or ${B}`
      }, ${vae.config.in_channels}, H, W], got ${formatShape(shape)}`,
    );
  }
  await fractionsOf("a picture", image);
  const size = [H / vae.scaleFactor, W / vae.scaleFactor] as const;
  if (shape[2] === H && shape[3] === W) return { pixels: image.mul(2).sub(1), size };
  const resized = await resizeImage(image, [H, W]);
  using made = scope(resized);
  return { pixels: made.keep(resized.mul(2).sub(1)), size };
}

/** Height and width in which a picture is drawn: those that are given, else its own down to a multiple. */
export function changedSize(
  image: Tensor | undefined,
  { height, width }: ChangedSizeOptions,
  multiple: number,
): [H: number, W: number] {
  if (!image) throw new TypeError("Cannot change a picture: expected image, got none");
  const [H, W] = image.shape.slice(-2) as [number, number];
  return [changedSide("height", height, H, multiple), changedSide("width", width, W, multiple)];
}

function changedSide(name: string, given: number | undefined, own: number, multiple: number): number {
  if (given !== undefined) return multiple * latentSide(name, given, multiple);
  if (own >= multiple) return own - own % multiple;
  throw new RangeError(
    `Cannot change a picture of ${name} ${own}: expected at least ${multiple} pixels; make it larger, or say ${name}`,
  );
}

/** The picture that a run changes, or the latents of another run that it continues. */
export interface Original {
  /** The picture in [-1, 1], where one is given. [1 or B, 3, H, W] */
  readonly pixels?: Tensor | undefined;
  /** Sides of its latents. */
  readonly size: readonly [h: number, w: number];
  /** Its latents, as they were given or drawn from the picture. [rows, C, h, w] */
  readonly latents: (options: RandomOptions & { rows?: number | undefined }) => Tensor;
}

/** True for latents as the denoiser takes them, false for a picture. */
function isLatents(image: Tensor, { config }: Autoencoder): boolean {
  const { in_channels, latent_channels } = config;
  return image?.rank === 4 && image.shape[1] === latent_channels && latent_channels !== in_channels;
}

/** Sides of the latents of a picture to change, or of latents; `multiple` has to divide the sides of the picture. */
export function originalSize(
  image: Tensor,
  vae: Autoencoder,
  options: ChangedSizeOptions,
  multiple: number = vae.scaleFactor,
): [h: number, w: number] {
  const f = vae.scaleFactor;
  if (!isLatents(image, vae)) {
    const [H, W] = changedSize(image, options, multiple);
    return [H / f, W / f];
  }
  const [H, W] = image.shape.slice(2).map((side) => f * side) as [number, number];
  const { height = H, width = W } = options;
  if (height === H && width === W && H % multiple === 0 && W % multiple === 0) return [H / f, W / f];
  const wanted = height === H && width === W ? `multiples of ${multiple}` : "that height and width";
  throw new RangeError(
    `Cannot change latents of a picture of ${H} x ${W}: expected ${wanted}, got ${height} x ${width}`,
  );
}

/** Checks a picture in [0, 1], or latents as the denoiser takes them, for a run, which owns what is made of them. */
export async function readOriginal(
  image: Tensor,
  { B, owned }: Pick<BegunRun, "B" | "owned">,
  vae: Autoencoder,
  options: ChangedSizeOptions,
  multiple: number = vae.scaleFactor,
): Promise<Original> {
  const size = originalSize(image, vae, options, multiple);
  const [count] = image.shape;
  if (isLatents(image, vae) && (count === 1 || count === B)) return { size, latents: () => image };
  const [h, w] = size;
  const { pixels } = await readInitImage(image, B, vae, [h * vae.scaleFactor, w * vae.scaleFactor]);
  owned.adopt(pixels, free);
  return { pixels, size, latents: (options) => drawLatents(vae, pixels, options) };
}

/**
 * Latents of the original to begin a run's loop with, with noise as at timestep `t` if there is one. Random numbers go to the
 * picture's latents first, then to the noise. Of a list of generators each draws latents for its row, or as many as there are
 * pictures draw one for each. [B, C, h, w]
 */
export async function noisedLatents(
  parts: Residents & { readonly vae: Autoencoder; readonly scheduler: Scheduler },
  { pixels, latents }: Original,
  { B, owned }: BegunRun,
  t: number | undefined,
  options: RandomOptions & AcquireOptions,
  each: "row" | "picture" = "row",
): Promise<Tensor> {
  const { generator } = options;
  const isList = Array.isArray(generator);
  return await withModels(parts, [parts.vae], options, () => {
    using made = scope(...(pixels ? [pixels] : []));
    const original = each === "row"
      ? latents({ generator, rows: isList ? B : undefined })
      : latents({ generator: isList ? generator.slice(0, pixels?.shape[0]) : generator });
    const shape = [B, ...original.shape.slice(1)];
    const start = t === undefined
      ? original.expand(shape).clone() // the loop frees what it begins with
      : parts.scheduler.addNoise(original.expand(shape), firstNoise(shape, { generator }), t);
    return owned.adopt(made.keep(start), free);
  });
}

/** The values of a picture or a mask; throws unless all are in [0, 1]. */
export async function fractionsOf(what: string, x: Tensor): Promise<Float32Array> {
  const data = await x.cast("f32").data() as Float32Array;
  const wrong = data.find((value) => !(value >= 0 && value <= 1));
  if (wrong === undefined) return data;
  throw new RangeError(`Cannot change ${what}: expected values from 0 to 1, got ${wrong}`);
}

/** Latents drawn for pictures in [-1, 1], as the denoiser takes them. */
export function drawLatents(vae: Autoencoder, pixels: Tensor, options: LatentsOptions): Tensor {
  return vae.scaleLatents(vae.draw(pixels, options));
}

/** The pixels of a file as pipelines take pictures: in [0, 1], without alpha. → [1, 3, H, W]. */
export function pictureOf(image: Image): Tensor {
  return imageTensor(inMode(image, "RGB"));
}

/** The luma of a file as pipelines take masks, rounded as in PIL. → [1, 1, H, W]. */
export function maskOf(image: Image): Tensor {
  return imageTensor(inMode(image, "L"));
}
