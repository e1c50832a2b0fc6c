import type { Tuple } from "../core/shape.ts";
import { Buffer } from "node:buffer";
import { inflateSync } from "node:zlib";
// @ts-types="@types/pngjs"
import { PNG } from "pngjs";
import { BinaryFile } from "./binary_file.ts";
import { joinChunk, PNG_SIGNATURE, splitChunks } from "./png/chunk.ts";
import { readTexts, textChunk } from "./png/text.ts";
import { damaged, quote } from "./refusal.ts";
import { writeWholeFile } from "./whole_file.ts";

const maxSide = 2 ** 14; // so at most 2^28 pixels
const maxFile = 2 ** 30; // bytes

/** Pixels of eight bits a channel, [height, width, channels]. */
export interface Image {
  /** Pixels in a row. */
  readonly width: number;
  /** Rows. */
  readonly height: number;
  /** Gray, RGB or RGBA. */
  readonly channels: 1 | 3 | 4;
  /** width * height * channels bytes. */
  readonly data: Uint8Array;
}

/** An image from a file. */
export interface PngFile extends Image {
  /** Always RGBA. */
  readonly channels: 4;
  /** The file's texts by keyword. */
  readonly text: Record<string, string>;
}

const colorTypes = { 1: 0, 3: 2, 4: 6 } as const;

/** Writes a PNG with texts by keyword, such as the prompt; the file appears only when it is complete. */
export async function writePng(path: string, image: Image, text: Record<string, string> = {}): Promise<void> {
  await writeWholeFile(path, encodePng(image, text));
}

/** The bytes of a PNG file with texts by keyword. */
export function encodePng(
  { width, height, channels, data }: Image,
  text: Record<string, string> = {},
): Uint8Array {
  if (!isSide(width) || !isSide(height)) {
    throw new RangeError(`Cannot write a PNG: expected sides of 1 to ${maxSide}, got ${width} x ${height}`);
  }
  if (!(channels in colorTypes) || data.length !== width * height * channels) {
    throw new RangeError(
      `Cannot write a PNG: expected ${width} x ${height} pixels of 1, 3 or 4 channels, got ${data.length} bytes`,
    );
  }
  const colorType = colorTypes[channels];
  const pixels = { width, height, data: Buffer.from(data.buffer, data.byteOffset, data.length) };
  const png = pixels as PNG; // its constructor would open a deflate stream that nobody closes: 340 kB each
  const bytes = PNG.sync.write(png, { colorType, inputColorType: colorType, inputHasAlpha: channels === 4 });
  const headEnd = PNG_SIGNATURE.length + 25; // texts follow IHDR, so that a reader need not pass the pixels
  const texts = Object.entries(text).map(([keyword, value]) => joinChunk(textChunk(keyword, value)));
  return Buffer.concat([bytes.subarray(0, headEnd), ...texts, bytes.subarray(headEnd)]);
}

/** Reads a PNG; everything about it is checked before its pixels are decoded. */
export async function readPng(path: string): Promise<PngFile> {
  using file = await BinaryFile.open(path);
  if (file.size > maxFile) throw damaged(path, `a PNG of at most ${maxFile} bytes`, `${file.size}`);
  checkSignature(await file.read(0, Math.min(file.size, 12)), path);
  const bytes = await file.read(0, file.size);
  const chunks = splitChunks(bytes, path);
  const header = readHeader(chunks[0]!.type === "IHDR" ? chunks[0]!.data : new Uint8Array(), path);
  const compressed = Buffer.concat(chunks.filter(({ type }) => type === "IDAT").map(({ data }) => data));
  checkPixels(compressed, rawLength(header), path);
  try {
    const { width, height, data } = PNG.sync.read(Buffer.from(bytes.buffer));
    return { width, height, channels: 4, data: new Uint8Array(data), text: readTexts(chunks) };
  } catch (error) {
    throw damaged(path, "a PNG that pngjs decodes", quote(error instanceof Error ? error.message : error));
  }
}

function isSide(length: number): boolean {
  return Number.isInteger(length) && length >= 1 && length <= maxSide;
}

/** First bytes of other formats, in Latin-1, which some files named .png hold. */
const otherFormats = [["\xff\xd8\xff", "a JPEG"], ["RIFF", "a WebP"], ["GIF8", "a GIF"], ["BM", "a BMP"]];

function checkSignature(head: Uint8Array, path: string): void {
  if (PNG_SIGNATURE.every((byte, i) => head[i] === byte)) return;
  const text = String.fromCharCode(...head);
  const other = otherFormats.find(([start]) => text.startsWith(start!));
  if (other) throw new TypeError(`Cannot load ${path}: expected a PNG, got ${other[1]}; convert it to PNG`);
  throw damaged(path, "a PNG", text === "" ? "an empty file" : `a file that begins ${quote(text)}`);
}

interface Header {
  width: number;
  height: number;
  /** Bits of a pixel. */
  depth: number;
  interlaced: boolean;
}

/** Channels and allowed bits of each by colour type. */
const layouts = new Map([
  [0, { channels: 1, depths: [1, 2, 4, 8, 16] }],
  [2, { channels: 3, depths: [8, 16] }],
  [3, { channels: 1, depths: [1, 2, 4, 8] }],
  [4, { channels: 2, depths: [8, 16] }],
  [6, { channels: 4, depths: [8, 16] }],
]);

function readHeader(data: Uint8Array, path: string): Header {
  if (data.length !== 13) throw damaged(path, "a PNG that begins with IHDR", "another chunk");
  const view = new DataView(data.buffer, data.byteOffset);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  if (!isSide(width) || !isSide(height)) {
    throw new RangeError(
      `Cannot load ${path}: expected sides of 1 to ${maxSide} pixels, got ${width} x ${height}; make it smaller`,
    );
  }
  const [bits, colorType, compression, filter, interlace] = [...data.subarray(8)] as Tuple<number, 5>;
  const layout = layouts.get(colorType);
  if (!layout?.depths.includes(bits) || compression !== 0 || filter !== 0 || interlace > 1) {
    throw damaged(
      path,
      "a PNG header with a known pixel format",
      `${[bits, colorType, compression, filter, interlace]}`,
    );
  }
  return { width, height, depth: bits * layout.channels, interlaced: interlace === 1 };
}

/** First column, first row, and the steps between columns and rows of Adam7's passes. */
const adam7 = [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [
  0,
  1,
  1,
  2,
]];

/** Bytes of the pixels before compression: every row begins with a byte that names its filter. */
function rawLength({ width, height, depth, interlaced }: Header): number {
  const passes = interlaced ? adam7 : [[0, 0, 1, 1]];
  return passes.reduce((sum, [x, y, dx, dy]) => {
    const columns = Math.ceil((width - x!) / dx!);
    const rows = Math.ceil((height - y!) / dy!);
    return columns > 0 && rows > 0 ? sum + rows * (1 + Math.ceil(columns * depth / 8)) : sum;
  }, 0);
}

/**
 * Inflates within bounds and drops the result:
 * pngjs would not stop at a bomb, and hangs where pixels are missing.
 */
function checkPixels(compressed: Uint8Array, expected: number, path: string): void {
  let length: number;
  try {
    length = inflateSync(compressed, { maxOutputLength: expected }).length;
  } catch (error) {
    const code = (error as { code?: string }).code;
    const got = code === "ERR_BUFFER_TOO_LARGE" ? "more" : "data that cannot be inflated";
    throw damaged(path, `${expected} bytes of pixels`, got);
  }
  if (length !== expected) throw damaged(path, `${expected} bytes of pixels`, `${length}`);
}
