import { type Image, inMode } from "../../../src/io/images/image.ts";
import { encodePng } from "../../../src/io/images/png.ts";
import { decodePicture } from "../../../src/io/images/load_image.ts";
import { resizedImage } from "../../../src/io/images/resize.ts";
import type { Size } from "../../command_line/options.ts";
import { sizeToRead } from "../../generate/draw.ts";
import type { Holding } from "./holding.ts";
import { RefusalError } from "./refusal.ts";
import type { DrawRequest, PICTURES } from "./request.ts";

const MOST = 2 ** 26; // pixels of a request's pictures, 256 MiB once they are decoded: photographs have 2^23 to 2^26

/** A request's pictures, decoded. */
export interface ReadPictures {
  readonly images: readonly Image[];
  readonly mask: Image | undefined;
  /** Those that control. */
  readonly control: readonly Image[];
  /** Those that IP-Adapters see. */
  readonly ip: readonly Image[];
}

/**
 * Decodes a request's pictures, with the pixels that `loadImage` has of them, and resizes them where a size is said, as
 * `sizeToRead` tells.
 */
export async function readPictures(
  { image = [], mask, control = [], "ip-image": ip = [], hires, resize }: Pick<
    DrawRequest,
    typeof PICTURES[number] | "hires" | "resize"
  >,
  size: Size | undefined,
  holding: Holding,
): Promise<ReadPictures> {
  let left = MOST;
  const read = async (name: typeof PICTURES[number], files: readonly Uint8Array[]) => {
    const sides = sizeToRead(name, { size, hires, resize });
    const images: Image[] = [];
    for (const file of files) {
      holding.add(file.length);
      const image = await decoded(name, file, left);
      left -= image.width * image.height;
      const resized = resizedImage(inMode(image, "RGB"), sides ?? image);
      holding.add(resized.data.length);
      images.push(resized);
    }
    return images;
  };
  const images = await read("image", image);
  const [masked] = await read("mask", mask ? [mask] : []);
  const controlling = await read("control", control);
  const seen = await read("ip-image", ip);
  return { images, mask: masked, control: controlling, ip: seen };
}

/** The mask that a picture's transparent parts are: white where it shows nothing. Undefined where all of it is opaque. */
export async function maskOfAlpha(
  name: string,
  bytes: Uint8Array | undefined,
): Promise<Uint8Array | undefined> {
  if (bytes === undefined) return undefined;
  const { width, height, data } = inMode(await decoded(name, bytes, MOST), "RGBA");
  const mask = new Uint8Array(width * height);
  for (let i = 0; i < mask.length; i++) mask[i] = 255 - data[4 * i + 3]!;
  return mask.every((value) => value === 0)
    ? undefined
    : encodePng({ width, height, channels: 1, data: mask });
}

/** Decodes a picture of at most so many pixels. Throws a RefusalError on its setting where it cannot. */
export async function decoded(name: string, bytes: Uint8Array, most: number): Promise<Image> {
  try {
    return await decodePicture(bytes, name, most);
  } catch (error) {
    throw new RefusalError("invalid", (error as Error).message, name);
  }
}
