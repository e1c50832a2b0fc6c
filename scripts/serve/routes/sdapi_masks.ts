import { type Image, inMode } from "../../../src/io/images/image.ts";
import type { Size } from "../../command_line/options.ts";

/** A part of a picture. */
export interface Box extends Size {
  readonly left: number;
  readonly top: number;
}

/** Standard deviations of a soft edge, in pixels; 0 leaves it sharp. */
export interface Blur {
  readonly x: number;
  readonly y: number;
}

/** The mask in a picture: where it is opaque, if it is not so everywhere, else where it is bright. → [1 channel] */
export function maskIn(image: Image): Image {
  if (isOpaque(image)) return inMode(image, "L");
  const { width, height, data } = image;
  const mask = Uint8Array.from({ length: width * height }, (_, i) => data[4 * i + 3]! > 128 ? 255 : 0);
  return { width, height, channels: 1, data: mask };
}

/** A picture on white, as A1111 shows what is transparent. → [3 channels] */
export function onWhite(image: Image): Image {
  const rgb = inMode(image, "RGB");
  if (isOpaque(image)) return rgb;
  const data = Uint8Array.from(rgb.data, (value, i) => {
    const alpha = image.data[4 * Math.floor(i / 3) + 3]!;
    return divided255(value * alpha + 255 * (255 - alpha));
  });
  return { ...rgb, data };
}

/** True for a picture through which nothing shows. */
export function isOpaque({ channels, data }: Image): boolean {
  if (channels !== 4) return true;
  for (let i = 3; i < data.length; i += 4) if (data[i] !== 255) return false;
  return true;
}

/** x / 255, rounded as PIL does. */
function divided255(x: number): number {
  const half = x + 128;
  return (half + (half >> 8)) >> 8;
}

/** The smallest part of a picture with all that is not black; the whole where all is. */
export function boundsOf({ width, height, data }: Image): Box {
  let [left, top, right, bottom] = [width, height, 0, 0];
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      if (data[i] === 0) continue;
      [left, right] = [Math.min(left, x), Math.max(right, x + 1)];
      [top, bottom] = [Math.min(top, y), Math.max(bottom, y + 1)];
    }
  }
  return right === 0 ? { left: 0, top: 0, width, height } : box(left, top, right, bottom);
}

/** A part with a margin, made longer or higher until it has the shape of a size, within the picture. */
export function grown(part: Box, padding: number, within: Size, shape: Size | undefined): Box {
  const right = Math.min(within.width, part.left + part.width + padding);
  const bottom = Math.min(within.height, part.top + part.height + padding);
  const padded = box(Math.max(0, part.left - padding), Math.max(0, part.top - padding), right, bottom);
  if (!shape) return padded;
  const ratio = shape.width / shape.height;
  const wanted = padded.width / padded.height > ratio
    ? { width: padded.width, height: Math.floor(padded.width / ratio) }
    : { width: Math.floor(padded.height * ratio), height: padded.height };
  const [left, width] = stretched(padded.left, padded.width, wanted.width, within.width);
  const [top, height] = stretched(padded.top, padded.height, wanted.height, within.height);
  return { left, top, width, height };
}

/** A range made longer on both sides, and pushed back to where there is room. */
function stretched(
  start: number,
  length: number,
  wanted: number,
  room: number,
): [start: number, length: number] {
  const now = Math.min(room, Math.max(length, wanted));
  const from = start - Math.floor((now - length) / 2);
  return [Math.max(0, Math.min(room - now, from)), now];
}

function box(left: number, top: number, right: number, bottom: number): Box {
  return { left, top, width: right - left, height: bottom - top };
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
  const to = new Uint8Array(from.length);
  for (let line = 0; line < lines; line++) {
    for (let i = 0; i < count; i++) {
      let value = 0;
      for (let k = -reach; k <= reach; k++) {
        value += weights[k + reach]! * from[line * next + mirrored(i + k, count) * step]!;
      }
      to[line * next + i * step] = (value + 128) >> 8;
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
