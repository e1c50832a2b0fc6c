import { type Image, inMode, paste } from "../../../../src/io/images/image.ts";
import { decodePng, encodePng } from "../../../../src/io/images/png.ts";
import { type Fit, resizedImage } from "../../../../src/io/images/resize.ts";
import type { Size } from "../../../command_line/options.ts";
import { type Blur, blurred, mapped, mixed, outwards, reachOf } from "../../../generate/mask_blur.ts";
import { decoded } from "../../request/pictures.ts";
import { RefusalError } from "../../request/refusal.ts";
import { boundsOf, grown, isOpaque, maskIn, onWhite } from "./masks.ts";

/** Options of drawing within a mask, as A1111 has them. */
export interface InpaintOptions {
  /** Of the mask's edge. */
  readonly blur: Blur;
  /** Draws the part around the mask in the size that is asked for, and puts it back; else the whole picture. */
  readonly onlyMasked: boolean;
  /** Pixels around the mask that are drawn with it then. */
  readonly padding: number;
  /** Draws what is black in the mask, not what is white. */
  readonly invert: boolean;
  /** The size that is drawn; by default that of the part. */
  readonly size: Size | undefined;
}

/** The part of a picture that is drawn for its mask alone. */
export interface InpaintPart {
  /** Of the whole picture. */
  readonly whole: Size;
  /** The same part of another picture of that size, in the size that is drawn. → a PNG */
  readonly of: (image: Image) => Uint8Array;
}

/** What is drawn for a picture with a mask, and how the result becomes the answer. */
export interface InpaintWork {
  readonly image: Uint8Array;
  readonly mask: Uint8Array;
  /** Where only the part around the mask is drawn. */
  readonly part: InpaintPart | undefined;
  /** The picture itself wherever the mask is black, and what was drawn where it is white. → a PNG without texts */
  readonly finish: (drawn: Uint8Array) => Promise<Uint8Array>;
}

const MOST = 2 ** 24; // pixels of a picture with a mask
const LARGEST = 2 ** 26; // of one without
const WORK = 2 ** 29; // pixels times those of the blur's kernel: a second of one core

/** A picture's file, on white where it is transparent, and cut or filled up to the shape of a size where that is asked for. */
export async function prepared(file: Uint8Array, size: Size | undefined, fit: Fit): Promise<Uint8Array> {
  const isJpeg = file[0] === 0xff; // which is opaque
  if (isJpeg && fit === "default") return file;
  const image = await decoded("init_images", file, LARGEST);
  if (size && fit !== "default") {
    expectSize(size);
    return encodePng(resizedImage(onWhite(image), size, { fit }));
  }
  return isOpaque(image) ? file : encodePng(onWhite(image));
}

/** Prepares a picture and a mask as A1111 does: what the mask leaves out stays as it is, to the last bit. */
export async function inpaintWork(
  imageFile: Uint8Array,
  maskFile: Uint8Array,
  { blur, onlyMasked, padding, invert, size }: InpaintOptions,
): Promise<InpaintWork> {
  expectSize(size);
  const read = async () => onWhite(await decoded("init_images", imageFile, MOST));
  const whole = await read();
  const black = maskIn(await decoded("mask", maskFile, MOST));
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
    part: onlyMasked ? { whole: sizeOf(whole), of: part } : undefined,
    finish: async (drawn) => {
      const [whole, mask] = [await read(), inMode(decodePng(packed, "the mask"), "L")];
      const picture = inMode(decodePng(drawn, "the picture"), "RGB");
      if (!onlyMasked) {
        return encodePng(mixed(resizedImage(whole, picture), picture, resizedImage(outwards(mask), picture)));
      }
      const patched = { ...whole, data: whole.data.slice() };
      paste(resizedImage(picture, box), patched, box.left, box.top);
      return encodePng(mixed(whole, patched, mask));
    },
  };
}

/** Refuses sizes in which no part is prepared: the drawer, which knows what may be drawn, sees them later. */
function expectSize(size: Size | undefined): void {
  if (!size || size.width > 0 && size.height > 0 && size.width * size.height <= MOST) return;
  const { width, height } = size;
  const message = `Cannot take size ${width}x${height}: expected sides above 0 and at most ${MOST} pixels`;
  throw new RefusalError("invalid", message, "size");
}

function expectWork({ width, height }: Size, { x, y }: Blur): void {
  const blur = Math.max(x, y);
  if (width * height * (2 * reachOf(blur) + 1) <= WORK) return;
  throw new RefusalError(
    "invalid",
    `Cannot blur the mask of ${width}x${height} pixels by ${blur}: expected less work; take a smaller mask_blur`,
    "mask_blur",
  );
}

function blank({ width, height }: Size, channels: Image["channels"]): Image {
  return { width, height, channels, data: new Uint8Array(width * height * channels) };
}

function sizeOf({ width, height }: Size): Size {
  return { width, height };
}
