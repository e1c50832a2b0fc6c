import { type Image, inMode } from "../../src/io/images/image.ts";
import { encodePng } from "../../src/io/images/png.ts";
import { decodePicture } from "../../src/io/images/load_image.ts";
import { resizedImage } from "../../src/io/images/resize.ts";
import type { Size } from "../command_line/options.ts";
import { RefusalError } from "./refusal.ts";

const MOST = 2 ** 26; // pixels of a picture that comes, 256 MiB once it is decoded: photographs have 2^23 to 2^26

/** Decodes a client's picture, with the pixels that `loadImage` has of it, and resizes it where a size is said. */
export async function readPicture(name: string, bytes: Uint8Array, size: Size | undefined): Promise<Image> {
  const image = inMode(await decoded(name, bytes), "RGB");
  return resizedImage(image, size ?? image);
}

/** The mask that a picture's transparent parts are: white where it shows nothing. Undefined where all of it is opaque. */
export async function maskOfAlpha(
  name: string,
  bytes: Uint8Array | undefined,
): Promise<Uint8Array | undefined> {
  if (bytes === undefined) return undefined;
  const { width, height, data } = inMode(await decoded(name, bytes), "RGBA");
  const mask = new Uint8Array(width * height);
  for (let i = 0; i < mask.length; i++) mask[i] = 255 - data[4 * i + 3]!;
  return mask.every((value) => value === 0)
    ? undefined
    : encodePng({ width, height, channels: 1, data: mask });
}

async function decoded(name: string, bytes: Uint8Array): Promise<Image> {
  try {
    return await decodePicture(bytes, name, MOST);
  } catch (error) {
    throw new RefusalError("invalid", (error as Error).message, name);
  }
}
