import { HEAD, kindOf } from "../files/file_kinds.ts";
import { decodePng } from "./png.ts";
import type { Image } from "./image.ts";
import { decodeJpeg } from "./jpeg.ts";
import { notPicture } from "./picture_file.ts";
import { type Metadata, orientationOf, turned } from "./orientation.ts";
import { decodeWebp } from "./webp.ts";

type Decoded = { image: Image } & Metadata;

const decoders: Record<string, (bytes: Uint8Array, path: string) => Decoded | Promise<Decoded>> = {
  "a PNG": (bytes, path) => {
    const image = decodePng(bytes, path);
    return { image, exif: image.exif, xmp: image.xmp };
  },
  "a JPEG": decodeJpeg,
  "a WebP": decodeWebp,
};

/** Refuses by its first bytes what is no picture that can be read. */
export function expectPicture(head: Uint8Array, path: string): void {
  if (!decoderOf(head)) throw notPicture(head, path, "a PNG, JPEG or WebP");
}

/** The picture that a file's bytes hold, turned as it is to be seen; what it is the bytes say, not its name. */
export async function decodePicture(bytes: Uint8Array, path: string): Promise<Image> {
  const decoder = decoderOf(bytes);
  if (!decoder) throw notPicture(bytes, path, "a PNG, JPEG or WebP");
  const { image, ...metadata } = await decoder(bytes, path);
  return turned(image, orientationOf(metadata));
}

function decoderOf(head: Uint8Array): typeof decoders[string] | undefined {
  return decoders[kindOf(head.subarray(0, HEAD))?.kind ?? ""];
}
