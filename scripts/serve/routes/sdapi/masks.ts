import { type Image, inMode } from "../../../../src/io/images/image.ts";
import type { Size } from "../../../command_line/options.ts";

/** A part of a picture. */
export interface Box extends Size {
  readonly left: number;
  readonly top: number;
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
