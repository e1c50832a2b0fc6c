import { fileURLToPath } from "node:url";
import { expectOptions } from "../../core/error.ts";
import { currentDevice } from "../../gpu/device.ts";
import type { Tensor } from "../../tensor/mod.ts";
import { HEAD, kindOf } from "../files/file_kinds.ts";
import { type Image, type ImageMode, imageModes, inMode, maxPixels } from "./image.ts";
import { decodeJpeg } from "./jpeg.ts";
import { type Metadata, orientationOf, upright } from "./orientation.ts";
import { fetchPicture, notPicture, readPicture } from "./picture_file.ts";
import { decodePng } from "./png.ts";
import { expectOneOf, expectResize, readSize, resizedImage, type ResizeOptions } from "./resize.ts";
import { imageTensor } from "./tensors.ts";
import { decodeWebp } from "./webp.ts";

/** A path, an address, or the bytes of a file. */
export type ImageSource = string | URL | Uint8Array | ArrayBuffer;

/** Options of `loadImage`. */
export interface LoadImageOptions extends ResizeOptions {
  /** Height and width in pixels, or both in one number; by default the picture's own. */
  size?: number | readonly [height: number, width: number] | undefined;
  /** Channels by PIL's names: "L" luma, as masks have it, "RGB" or "RGBA"; by default "RGB". */
  mode?: ImageMode | undefined;
}

/**
 * Loads a PNG, JPEG or WebP from a path, an address or bytes as values in [0, 1], with the pixels that
 * diffusers' `load_image` and `VaeImageProcessor` have of it: turned as its EXIF says, alpha dropped and not
 * blended, gray of 16 bits cut off at 255, of an animation the first frame, resized by Lanczos.
 * → [1, 3, H, W], by `mode` also 1 or 4 channels.
 *
 * A file that is damaged, too large or no picture is refused in one line; its bytes tell what it is, not its
 * name.
 *
 * @example
 * ```ts ignore
 * const image = await loadImage("cat.jpg", { size: 512, fit: "crop" }); // [1, 3, 512, 512]
 * const mask = await loadImage("mask.png", { mode: "L" }); // [1, 1, H, W]
 * ```
 */
export async function loadImage(
  source: ImageSource,
  options: LoadImageOptions = {},
): Promise<Tensor> {
  expectOptions("load a picture", options, ["size", "fit", "resample", "mode"]);
  const { size, mode = "RGB", ...resize } = options;
  expectOneOf("mode", mode, imageModes);
  expectResize(resize);
  const to = size === undefined ? undefined : readSize(size);
  const image = inMode(await readImage(source), mode === "L" ? "RGB" : mode);
  const resized = inMode(resizedImage(image, to ?? image, resize), mode); // luma last, as in diffusers
  expectRoom(resized, source);
  return imageTensor(resized);
}

/** Refuses pictures that are larger than the adapter's largest tensor, as photographs may be. */
function expectRoom({ width, height, channels }: Image, source: ImageSource): void {
  const { limits, adapterName } = currentDevice();
  const most = Math.floor(limits.maxStorageBufferBindingSize / (4 * channels));
  if (width * height <= most) return;
  throw new RangeError(
    `Cannot load ${nameOf(source)}: expected at most ${most} pixels in one tensor on ${adapterName}, got ` +
      `${width} x ${height}; say a smaller size`,
  );
}

function nameOf(source: ImageSource): string {
  return typeof source === "string" || source instanceof URL ? String(source) : "the picture";
}

/** The pixels of a picture, turned upright, on the host. */
export async function readImage(source: ImageSource): Promise<Image> {
  if (source instanceof Uint8Array) return await decodePicture(source, nameOf(source));
  if (source instanceof ArrayBuffer) return await decodePicture(new Uint8Array(source), nameOf(source));
  const url = source instanceof URL
    ? source
    : /^(https?|file):\/\//i.test(source)
    ? new URL(source)
    : undefined;
  if (url && url.protocol !== "file:") return await decodePicture(await fetchPicture(url.href), url.href);
  const path = url ? fileURLToPath(url) : String(source);
  return await decodePicture(await readPicture(path, expectPicture), path);
}

type Decoded = { image: Image } & Metadata;

/** By the kind of file, as `kindOf` names it. */
const decoders: Record<
  string,
  (bytes: Uint8Array, path: string, most: number) => Decoded | Promise<Decoded>
> = {
  "a PNG": (bytes, path, most) => {
    const image = decodePng(bytes, path, most);
    return { image, exif: image.exif, xmp: image.xmp };
  },
  "a JPEG": decodeJpeg,
  "a WebP": decodeWebp,
};

/** Refuses a file by its first bytes where it is no picture that can be read. */
function expectPicture(head: Uint8Array, path: string): void {
  if (!decoderOf(head)) throw notPicture(head, path, "a PNG, JPEG or WebP");
}

/**
 * Decodes a file and turns the picture upright. The bytes decide the format, not the file's name. One of more than `most`
 * pixels is refused by its header.
 */
export async function decodePicture(
  bytes: Uint8Array,
  path: string,
  most: number = maxPixels,
): Promise<Image> {
  const decoder = decoderOf(bytes);
  if (!decoder) throw notPicture(bytes, path, "a PNG, JPEG or WebP");
  const { image, ...metadata } = await decoder(bytes, path, most);
  return upright(image, orientationOf(metadata));
}

function decoderOf(head: Uint8Array): typeof decoders[string] | undefined {
  return decoders[kindOf(head.subarray(0, HEAD))?.kind ?? ""];
}
