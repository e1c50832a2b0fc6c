import type { Tensor } from "../../tensor/mod.ts";
import { type Image, isSide, maxSide, paste, type Size } from "./image.ts";
import { type Box, resample as resampled, type ResamplingFilter, resamplingFilters } from "./resample.ts";
import { imagesOf, imageTensor } from "./tensors.ts";

/**
 * Fit of a picture into a size of another aspect ratio, by the names of diffusers' resize modes: "default"
 * stretches the picture, "crop" keeps its ratio and cuts off both ends, "fill" keeps its ratio and fills both ends
 * with the colours of its edges.
 */
export type Fit = "default" | "crop" | "fill";

const fits: readonly Fit[] = ["default", "crop", "fill"];

/** Options of resizing a picture. */
export interface ResizeOptions {
  /** Fit of a picture into a size of another aspect ratio; by default "default", which stretches. */
  fit?: Fit | undefined;
  /** PIL's filter; by default "lanczos", as in diffusers. */
  resample?: ResamplingFilter | undefined;
}

/** Reads height and width, or both in one number. Throws where a picture cannot have them. */
export function readSize(size: number | readonly [height: number, width: number]): Size {
  const [height, width] = typeof size === "number" ? [size, size] : size;
  if (isSide(height) && isSide(width)) return { width, height };
  throw new RangeError(
    `Cannot resize: expected height and width from 1 to ${maxSide}, got ${height} and ${width}`,
  );
}

/** Refuses unknown values of the options. */
export function expectResize({ fit = "default", resample = "lanczos" }: ResizeOptions): void {
  expectOneOf("fit", fit, fits);
  expectOneOf("resample", resample, resamplingFilters);
}

/** Refuses a value that is none of those that an option takes. */
export function expectOneOf(option: string, value: string, known: readonly string[]): void {
  if (known.includes(value)) return;
  const names = known.map((name) => `"${name}"`).join(", ");
  throw new TypeError(`Cannot take ${option} ${JSON.stringify(value)}: expected one of ${names}`);
}

/** A picture at another size, as diffusers' VaeImageProcessor makes it. */
export function resizedImage(
  image: Image,
  to: Size,
  { fit = "default", resample = "lanczos" }: ResizeOptions = {},
): Image {
  const [shape, wanted] = [image.width / image.height, to.width / to.height];
  if (fit === "default" || shape === wanted) return resampled(image, to, resample);

  const byHeight = (fit === "fill") === (wanted > shape); // else the width decides the scale
  const size = byHeight
    ? { width: scaled(image.width, to.height, image.height), height: to.height }
    : { width: to.width, height: scaled(image.height, to.width, image.width) };
  const left = Math.floor(to.width / 2) - Math.floor(size.width / 2);
  const top = Math.floor(to.height / 2) - Math.floor(size.height / 2);
  if (fit === "crop") {
    return resampled(image, size, resample, undefined, [-left, -top, to.width - left, to.height - top]);
  }
  const middle = resampled(image, size, resample);
  const { channels } = image;
  const made = { ...to, channels, data: new Uint8Array(to.width * to.height * channels) };
  paste(middle, made, left, top);
  if (left > 0) {
    const strip = { width: left, height: to.height };
    paste(edge(middle, strip, [0, 0, 0, size.height]), made, 0, 0);
    paste(edge(middle, strip, [size.width, 0, size.width, size.height]), made, left + size.width, 0);
  }
  if (top > 0) {
    const strip = { width: to.width, height: top };
    paste(edge(middle, strip, [0, 0, size.width, 0]), made, 0, 0);
    paste(edge(middle, strip, [0, size.height, size.width, size.height]), made, 0, top + size.height);
  }
  return made;
}

function scaled(side: number, to: number, from: number): number {
  return Math.max(1, Math.floor(side * to / from));
}

/** Stretches an edge to a strip: of a box without extent PIL's bicubic filter blends the lines beside it. */
function edge(image: Image, to: Size, box: Box): Image {
  return resampled(image, to, "bicubic", box);
}

/**
 * Resizes pictures of values in [0, 1] to `size`: height and width, or both in one number. x [B, C, H, W]
 * with 1, 3 or 4 channels, the fourth being alpha. → [B, C, height, width]
 *
 * The bytes are those of Pillow 13, so values are rounded to eight bits before and after. For gradients, and
 * for values of any range, there is `interpolate`.
 */
export async function resizeImage(
  x: Tensor,
  size: number | readonly [height: number, width: number],
  options: ResizeOptions = {},
): Promise<Tensor> {
  const to = readSize(size);
  expectResize(options);
  const [first, ...rest] = await imagesOf(x, "Cannot resize");
  return imageTensor(
    resizedImage(first, to, options),
    ...rest.map((image) => resizedImage(image, to, options)),
  );
}
