import { decodeLatin1, encodeLatin1 } from "../files/latin1.ts";
import { damaged } from "../files/errors.ts";
import { decodeWith } from "./codecs.ts";
import { expectSides, type Image, maxPixels, paste, type Size } from "./image.ts";
import type { Metadata } from "./orientation.ts";

const ALPHA = 0x10; // a flag of VP8X
const FRAME = 16; // bytes of a frame's position and time, in front of its chunks

/** A chunk of a RIFF file. */
interface Chunk {
  /** Four letters. */
  readonly type: string;
  readonly data: Uint8Array;
}

/**
 * Decodes a WebP (https://developers.google.com/speed/webp/docs/riff_container) with the pixels of PIL's
 * libwebp; of an animation, the first frame.
 */
export async function decodeWebp(
  bytes: Uint8Array,
  path: string,
  most: number = maxPixels,
): Promise<{ image: Image } & Metadata> {
  const size = 8 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(4, true);
  if (size > bytes.length) throw damaged(path, `a WebP of ${size} bytes`, `${bytes.length}`);
  const chunks = splitChunks(bytes.subarray(12, size), path);
  const find = (type: string) => chunks.find((chunk) => chunk.type === type)?.data;
  const canvas = find("VP8X") ? canvasOf(find("VP8X")!, path) : undefined;
  for (const sides of [canvas, sidesOf(chunks)]) if (sides) expectSides(sides, path, most);
  const frame = find("ANMF");
  const image = frame && canvas
    ? await decodeFrame(frame, canvas, path)
    : await decodeWith("a WebP", bytes.subarray(0, size), path);
  return { image, exif: find("EXIF"), xmp: find("XMP ") };
}

function splitChunks(riff: Uint8Array, path: string): Chunk[] {
  const view = new DataView(riff.buffer, riff.byteOffset, riff.byteLength);
  const chunks: Chunk[] = [];
  for (let at = 0; at + 8 <= riff.length;) {
    const length = view.getUint32(at + 4, true);
    if (at + 8 + length > riff.length) throw damaged(path, `${length} bytes in a chunk of WebP`, "fewer");
    const type = decodeLatin1(riff.subarray(at, at + 4));
    chunks.push({ type, data: riff.subarray(at + 8, at + 8 + length) });
    at += 8 + length + length % 2;
  }
  return chunks;
}

function canvasOf(data: Uint8Array, path: string): Size {
  if (data.length < 10) throw damaged(path, "10 bytes in the VP8X of a WebP", `${data.length}`);
  return { width: 1 + number24(data, 4), height: 1 + number24(data, 7) };
}

/** Sides of a picture without a canvas, as the header of its lossy or lossless pixels has them; 14 bits each. */
function sidesOf(chunks: readonly Chunk[]): Size | undefined {
  for (const { type, data } of chunks) {
    if (type === "VP8 " && data.length >= 10) {
      return { width: number24(data, 6) & 0x3fff, height: number16(data, 8) & 0x3fff };
    }
    if (type === "VP8L" && data.length >= 5) {
      const [low, high] = [number16(data, 1), number16(data, 3)];
      return { width: 1 + (low & 0x3fff), height: 1 + (low >> 14 | (high & 0xfff) << 2) };
    }
  }
  return undefined;
}

/** Decodes the first frame, as a file of its own, and pastes it onto a transparent canvas. */
async function decodeFrame(
  frame: Uint8Array,
  canvas: Size,
  path: string,
): Promise<Image> {
  if (frame.length < FRAME) throw damaged(path, `${FRAME} bytes in the frame of a WebP`, `${frame.length}`);
  const [left, top] = [2 * number24(frame, 0), 2 * number24(frame, 3)];
  const [width, height] = [1 + number24(frame, 6), 1 + number24(frame, 9)];
  if (left + width > canvas.width || top + height > canvas.height) {
    throw damaged(path, `a frame within ${canvas.width} x ${canvas.height} pixels`, "one beyond");
  }
  const part = await decodeWith("a WebP", fileOf(frame), path); // which refuses pixels of other sides
  const data = new Uint8Array(4 * canvas.width * canvas.height);
  const image: Image = { ...canvas, channels: 4, data };
  paste(part, image, left, top);
  return image;
}

function fileOf(frame: Uint8Array): Uint8Array {
  const header = new Uint8Array(12 + 8 + 10);
  const view = new DataView(header.buffer);
  header.set(encodeLatin1("RIFF"));
  view.setUint32(4, header.length - 8 + frame.length - FRAME, true);
  header.set(encodeLatin1("WEBPVP8X"), 8);
  view.setUint32(16, 10, true);
  header[20] = ALPHA;
  header.set(frame.subarray(6, 12), 24); // its sides, less 1
  const file = new Uint8Array(header.length + frame.length - FRAME);
  file.set(header);
  file.set(frame.subarray(FRAME), header.length);
  return file;
}

function number16(data: Uint8Array, at: number): number {
  return data[at]! | data[at + 1]! << 8;
}

function number24(data: Uint8Array, at: number): number {
  return data[at]! | data[at + 1]! << 8 | data[at + 2]! << 16;
}
