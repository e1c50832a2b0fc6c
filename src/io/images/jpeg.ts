import { decodeLatin1 } from "../files/latin1.ts";
import { damaged, quote } from "../files/errors.ts";
import { decodeWith, imageOf } from "./codecs.ts";
import { expectSides, type Image, maxPixels, type Size } from "./image.ts";
import type { Metadata } from "./orientation.ts";

/** Second bytes of markers (ITU-T T.81, table B.1). */
const [SCAN, END, APP1] = [0xda, 0xd9, 0xe1];

/** Frames of every kind of compression; between them lie DHT, JPG and DAC. */
const isFrame = (marker: number) => marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);

/** Decodes a JPEG with the pixels of PIL's libjpeg-turbo; one in CMYK within 1 of 255. */
export async function decodeJpeg(
  bytes: Uint8Array,
  path: string,
  most: number = maxPixels,
): Promise<{ image: Image } & Metadata> {
  const { components, ...metadata } = readHeader(bytes, path, most);
  const image = components === 4
    ? await decodeFourInks(bytes, path)
    : await decodeWith("a JPEG", bytes, path);
  return { image, ...metadata };
}

/** Decodes cyan, magenta, yellow and black, as printers use them; mozjpeg does not convert these to RGB. */
async function decodeFourInks(bytes: Uint8Array, path: string): Promise<Image> {
  const { default: { decode } } = await import("jpeg-js"); // which few pictures need
  try {
    return imageOf(decode(bytes, { useTArray: true, tolerantDecoding: false, maxMemoryUsageInMB: 4096 }));
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw damaged(path, "a JPEG of four inks that jpeg-js decodes", quote(reason));
  }
}

/** Reads the segments before the pixels, and checks everything about the pixels before they are decoded. */
function readHeader(bytes: Uint8Array, path: string, most: number): Metadata & { components: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let components: number | undefined;
  let [exif, xmp]: (Uint8Array | undefined)[] = [];
  for (let at = 2; at + 4 <= bytes.length;) {
    const marker = bytes[at + 1]!;
    if (bytes[at] !== 0xff) throw damaged(path, `a marker of JPEG at byte ${at}`, `${bytes[at]}`);
    if (marker === 0xff) { // padding
      at++;
      continue;
    }
    const length = view.getUint16(at + 2);
    const data = bytes.subarray(at + 4, at + 2 + length);
    if (isFrame(marker) && data.length >= 6) {
      const size = { width: view.getUint16(at + 7), height: view.getUint16(at + 5) };
      expectSides(size, path, most);
      expectBytes(bytes.length, size, path);
      components = data[5]!;
    }
    if (marker === APP1) {
      exif ??= after("Exif\0\0", data);
      xmp ??= after("http://ns.adobe.com/xap/1.0/\0", data);
    }
    at += 2 + length;
    if (marker !== SCAN) continue;
    if (components === undefined) throw damaged(path, "a JPEG with a frame before its pixels", "none");
    if (!endsIn(bytes, at)) {
      throw damaged(path, "a JPEG up to its end", `the end after ${bytes.length} bytes`);
    }
    return { components, exif, xmp };
  }
  throw damaged(path, "a JPEG with pixels", `the end after ${bytes.length} bytes`);
}

/**
 * Refuses a header of more pixels than the file can hold, before they take memory: 64 of them take a bit at
 * least, and components may have a quarter of them.
 */
function expectBytes(length: number, { width, height }: Size, path: string): void {
  const least = Math.floor(width * height / (64 * 4 * 8));
  if (length < least) throw damaged(path, `${least} bytes for ${width} x ${height} pixels`, `${length}`);
}

/** The rest of a segment that begins with `name`; undefined for other segments. */
function after(name: string, data: Uint8Array): Uint8Array | undefined {
  return decodeLatin1(data.subarray(0, name.length)) === name ? data.subarray(name.length) : undefined;
}

/** True where the end marker follows: the data of pixels cannot contain it. */
function endsIn(bytes: Uint8Array, from: number): boolean {
  for (let at = bytes.lastIndexOf(END); at > from; at = bytes.lastIndexOf(END, at - 1)) {
    if (bytes[at - 1] === 0xff) return true;
  }
  return false;
}
