import { type Image, inMode } from "../../src/io/images/image.ts";
import { decodePicture } from "../../src/io/images/load_image.ts";
import { resizedImage } from "../../src/io/images/resize.ts";
import type { Size } from "../command_line/options.ts";
import { RefusalError } from "./refusal.ts";

const MOST = 2 ** 26; // pixels of a picture that comes, 256 MiB once it is decoded: photographs have 2^23 to 2^26

/** Decodes a client's picture, with the pixels that `loadImage` has of it, and resizes it where a size is said. */
export async function readPicture(name: string, bytes: Uint8Array, size: Size | undefined): Promise<Image> {
  try {
    const image = inMode(await decodePicture(bytes, name, MOST), "RGB");
    return resizedImage(image, size ?? image);
  } catch (error) {
    throw new RefusalError("invalid", (error as Error).message, name);
  }
}
