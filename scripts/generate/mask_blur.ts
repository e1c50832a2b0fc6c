import type { Tensor } from "denoise";
import { type Image, inMode } from "../../src/io/images/image.ts";
import { resizedImage } from "../../src/io/images/resize.ts";
import { imagesOf, imageTensor } from "../../src/io/images/tensors.ts";

/** The largest blur, in pixels: the work grows with it. */
export const MOST_BLUR = 32;

/** Standard deviations of a soft edge, in pixels; 0 leaves it sharp. */
export interface Blur {
  readonly x: number;
  readonly y: number;
}

/**
 * Pictures that were drawn within a mask, over the one that was changed, as A1111 does: where the mask is black beyond its soft
 * edge, that one stays as it is, to the last bit. `blur` is the edge's standard deviation in pixels. drawn [B, 3, H, W],
 * image and mask of any size → [B, 3, H, W]
 */
export async function overlaid(
  drawn: Tensor,
  { image, mask, blur }: { readonly image: Tensor; readonly mask: Tensor; readonly blur: number },
): Promise<Tensor> {
  const [first, ...others] = await imagesOf(drawn, "Cannot draw");
  const [[below], [sharp]] = [await imagesOf(image, "Cannot draw"), await imagesOf(mask, "Cannot draw")];
  const soft = blurred(resizedImage(inMode(sharp, "L"), first), { x: blur, y: blur });
  const over = (above: Image) => mixed(resizedImage(below, first), above, outwards(soft));
  return imageTensor(over(first), ...others.map(over));
}

/** A blurred mask that is white up to its former edge: A1111's, which hides the edge of what was drawn. */
export function outwards(mask: Image): Image {
  return mapped(mask, (value) => Math.min(255, 2 * value));
}

/** A mask with a soft edge: its rows, then its columns, weighted by a Gaussian; edges are mirrored. x [1 channel] */
export function blurred(image: Image, { x, y }: Blur): Image {
  const { width, height } = image;
  const rows = x > 0 ? weighted(image.data, x, width, 1, height, width) : image.data;
  return { ...image, data: y > 0 ? weighted(rows, y, height, width, width, 1) : rows };
}

/** `lines` lines, `next` values apart, each of `count` values that are `step` apart, blurred. */
function weighted(
  from: Image["data"],
  sigma: number,
  count: number,
  step: number,
  lines: number,
  next: number,
): Uint8Array {
  const reach = reachOf(sigma);
  const weights = weightsOf(sigma, reach);
  const places = Int32Array.from({ length: count + 2 * reach }, (_, i) => step * mirrored(i - reach, count));
  const line = new Int32Array(places.length); // with what is mirrored at both ends
  const to = new Uint8Array(from.length);
  for (let start = 0; start < lines * next; start += next) {
    for (let i = 0; i < line.length; i++) line[i] = from[start + places[i]!]!;
    for (let i = 0; i < count; i++) {
      let value = 128 + weights[reach]! * line[i + reach]!;
      for (let k = 0, end = i + 2 * reach; k < reach; k++) {
        value += weights[k]! * (line[i + k]! + line[end - k]!);
      }
      to[start + i * step] = value >> 8;
    }
  }
  return to;
}

/**
 * A Gaussian in 256ths, which sum up to 256 as in OpenCV: what a weight loses by rounding goes to the next, from the edges to
 * the middle.
 */
function weightsOf(sigma: number, reach: number): Int32Array {
  const heights = Array.from(
    { length: reach + 1 },
    (_, i) => Math.exp(-((reach - i) ** 2) / (2 * sigma ** 2)),
  );
  const sum = 2 * heights.reduce((all, height) => all + height, 0) - 1; // the middle has height 1
  const weights = new Int32Array(2 * reach + 1);
  let [error, left] = [0, 256];
  for (let i = 0; i < reach; i++) {
    const wanted = 256 * heights[i]! / sum + error;
    const weight = Math.round(wanted);
    error = wanted - weight;
    weights[i] = weights[2 * reach - i] = weight;
    left -= 2 * weight;
  }
  weights[reach] = left;
  return weights;
}

/** Pixels on each side that a blur sees, as A1111 cuts it off. */
export function reachOf(sigma: number): number {
  return Math.floor(2.5 * sigma + 0.5);
}

function mirrored(i: number, count: number): number {
  if (count === 1) return 0;
  const period = 2 * (count - 1);
  const at = ((i % period) + period) % period;
  return at < count ? at : period - at;
}

/** One picture where a mask is black, another where it is white. Both RGB. */
export function mixed(below: Image, above: Image, { data: mask }: Image): Image {
  const data = new Uint8Array(below.data.length);
  for (let i = 0; i < data.length; i++) {
    const part = mask[Math.floor(i / 3)]! / 255;
    data[i] = Math.round(below.data[i]! * (1 - part) + above.data[i]! * part);
  }
  return { ...below, data };
}

export function mapped(image: Image, value: (value: number) => number): Image {
  return { ...image, data: new Uint8Array(image.data).map(value) };
}
