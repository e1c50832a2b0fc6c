import { type Image, inMode, paste } from "../../../src/io/images/image.ts";
import { decodePng, encodePng } from "../../../src/io/images/png.ts";
import { resizedImage } from "../../../src/io/images/resize.ts";
import type { Size } from "../../command_line/options.ts";
import { decoded } from "../pictures.ts";
import { RefusalError } from "../refusal.ts";

/** A part of a picture. */
interface Box extends Size {
  readonly left: number;
  readonly top: number;
}

/** Options of drawing within a mask, as A1111 has them. */
export interface InpaintOptions {
  /** Standard deviation of the mask's soft edge, in pixels. */
  readonly blur: number;
  /** Draws the part around the mask in the size that is asked for, and puts it back; else the whole picture. */
  readonly onlyMasked: boolean;
  /** Pixels around the mask that are drawn with it then. */
  readonly padding: number;
  /** Draws what is black in the mask, not what is white. */
  readonly invert: boolean;
  /** The size that is drawn; by default that of the part. */
  readonly size: Size | undefined;
}

/** What is drawn for a picture with a mask, and how the result becomes the answer. */
export interface InpaintWork {
  readonly image: Uint8Array;
  readonly mask: Uint8Array;
  /** The picture itself wherever the mask is black, and what was drawn where it is white. → a PNG without texts */
  readonly finish: (drawn: Uint8Array) => Promise<Uint8Array>;
}

const MOST = 2 ** 24; // pixels
const WORK = 2 ** 29; // pixels times those of the blur's kernel: a second of one core

/** Prepares a picture and a mask as A1111 does: what the mask leaves out stays as it is, to the last bit. */
export async function inpaintWork(
  imageFile: Uint8Array,
  maskFile: Uint8Array,
  { blur, onlyMasked, padding, invert, size }: InpaintOptions,
): Promise<InpaintWork> {
  expectSize(size);
  const read = async () => inMode(await decoded("init_images", imageFile, MOST), "RGB");
  const whole = await read();
  const black = inMode(await decoded("mask", maskFile, MOST), "L");
  const sharp = resizedImage(invert ? mapped(black, (value) => 255 - value) : black, whole);
  expectWork(whole, blur);
  const mask = blurred(sharp, blur);
  const box = onlyMasked
    ? grown(boundsOf(mask), padding, whole, size)
    : { left: 0, top: 0, ...sizeOf(whole) };
  const part = (from: Image) => {
    const to = blank(box, from.channels);
    paste(from, to, -box.left, -box.top);
    return encodePng(size ? resizedImage(to, size) : to);
  };
  const packed = encodePng(mask); // what waits is kept as files, which take less memory
  return {
    image: part(whole),
    mask: part(mask),
    finish: async (drawn) => {
      const [whole, mask] = [await read(), inMode(decodePng(packed, "the mask"), "L")];
      const picture = inMode(decodePng(drawn, "the picture"), "RGB");
      if (!onlyMasked) {
        const hard = mapped(mask, (value) => Math.min(255, 2 * value)); // A1111's, which hides the edge of what was drawn
        return encodePng(mixed(resizedImage(whole, picture), picture, resizedImage(hard, picture)));
      }
      const patched = { ...whole, data: whole.data.slice() };
      paste(resizedImage(picture, box), patched, box.left, box.top);
      return encodePng(mixed(whole, patched, mask));
    },
  };
}

/** The smallest part of a picture with all that is not black; the whole where all is. */
function boundsOf({ width, height, data }: Image): Box {
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
function grown(part: Box, padding: number, within: Size, shape: Size | undefined): Box {
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

/** Each of its rows, then its columns, weighted by a Gaussian; edges are mirrored. x [1 channel] */
function blurred(image: Image, sigma: number): Image {
  if (sigma === 0) return image;
  const { width, height } = image;
  const reach = reachOf(sigma);
  const weights = Float64Array.from(
    { length: 2 * reach + 1 },
    (_, i) => Math.exp(-((i - reach) ** 2) / (2 * sigma ** 2)),
  );
  const sum = weights.reduce((all, weight) => all + weight, 0);
  const along = (from: Uint8Array, count: number, step: number, lines: number, next: number) => {
    const to = new Uint8Array(from.length);
    for (let line = 0; line < lines; line++) {
      for (let i = 0; i < count; i++) {
        let value = 0;
        for (let k = -reach; k <= reach; k++) {
          value += weights[k + reach]! * from[line * next + mirrored(i + k, count) * step]!;
        }
        to[line * next + i * step] = Math.round(value / sum);
      }
    }
    return to;
  };
  const rows = along(image.data as Uint8Array, width, 1, height, width);
  return { ...image, data: along(rows, height, width, width, 1) };
}

/** Pixels on each side that a blur sees, as A1111 cuts it off. */
function reachOf(sigma: number): number {
  return Math.floor(2.5 * sigma + 0.5);
}

function mirrored(i: number, count: number): number {
  if (count === 1) return 0;
  const period = 2 * (count - 1);
  const at = ((i % period) + period) % period;
  return at < count ? at : period - at;
}

/** Refuses sizes in which no part is prepared: the drawer, which knows what may be drawn, sees them later. */
function expectSize(size: Size | undefined): void {
  if (!size || size.width > 0 && size.height > 0 && size.width * size.height <= MOST) return;
  const { width, height } = size;
  const message = `Cannot take size ${width}x${height}: expected sides above 0 and at most ${MOST} pixels`;
  throw new RefusalError("invalid", message, "size");
}

function expectWork({ width, height }: Size, blur: number): void {
  if (width * height * (2 * reachOf(blur) + 1) <= WORK) return;
  throw new RefusalError(
    "invalid",
    `Cannot blur the mask of ${width}x${height} pixels by ${blur}: expected less work; take a smaller mask_blur`,
    "mask_blur",
  );
}

/** One picture where a mask is black, another where it is white. Both RGB. */
function mixed(below: Image, above: Image, { data: mask }: Image): Image {
  const data = new Uint8Array(below.data.length);
  for (let i = 0; i < data.length; i++) {
    const part = mask[Math.floor(i / 3)]! / 255;
    data[i] = Math.round(below.data[i]! * (1 - part) + above.data[i]! * part);
  }
  return { ...below, data };
}

function mapped(image: Image, value: (value: number) => number): Image {
  return { ...image, data: new Uint8Array(image.data).map(value) };
}

function blank({ width, height }: Size, channels: Image["channels"]): Image {
  return { width, height, channels, data: new Uint8Array(width * height * channels) };
}

function sizeOf({ width, height }: Size): Size {
  return { width, height };
}
