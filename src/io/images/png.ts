import { Buffer } from "node:buffer";
import { inflateSync } from "node:zlib";
import type { Tuple } from "../../core/shape.ts";
// @ts-types="@types/pngjs"
import { type ParserOptions, PNG } from "pngjs";
import { expectSides, type Image, isSide, maxPixels, maxSide } from "./image.ts";
import type { Metadata } from "./orientation.ts";
import { notPicture, readPicture } from "./picture_file.ts";
import { joinChunk, PNG_SIGNATURE, type PngChunk, readTexts, splitChunks, textChunk } from "./png_text.ts";
import { damaged, quote } from "../files/errors.ts";
import { writeWholeFile } from "../files/whole_file.ts";

/** A picture from a PNG. */
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

/** Encodes a PNG with texts by keyword. */
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

/** Reads a PNG as it is stored: neither turned nor in another mode. */
export async function readPng(path: string): Promise<PngFile> {
  const { width, height, channels, data, text } = decodePng(await readPicture(path, expectPng), path);
  return { width, height, channels, data, text };
}

/**
 * Decodes a PNG; everything about the pixels is checked before. 16 bits are converted as PIL does it: of
 * colours and alpha the upper eight bits count, and gray above 255 of 65535 is white.
 */
export function decodePng(bytes: Uint8Array, path: string, most: number = maxPixels): PngFile & Metadata {
  const chunks = splitChunks(bytes, path);
  const header = readHeader(chunks[0]!.type === "IHDR" ? chunks[0]!.data : new Uint8Array(), path, most);
  const compressed = Buffer.concat(chunks.filter(({ type }) => type === "IDAT").map(({ data }) => data));
  checkPixels(compressed, rawLength(header), path);
  try {
    const deep = header.bits === 16;
    const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    const options = { skipRescale: deep } as ParserOptions; // the types lack it: 16 bits stay 16 bits
    const { width, height, data } = PNG.sync.read(file, options);
    const pixels = deep ? toEightBits(data as unknown as Uint16Array, header) : new Uint8Array(data);
    const text = readTexts(chunks);
    return { width, height, channels: 4, data: pixels, text, ...metadataOf(chunks, text) };
  } catch (error) {
    throw damaged(path, "a PNG that pngjs decodes", quote(error instanceof Error ? error.message : error));
  }
}

function expectPng(head: Uint8Array, path: string): void {
  if (!PNG_SIGNATURE.every((byte, i) => head[i] === byte)) throw notPicture(head, path, "a PNG");
}

interface Header {
  width: number;
  height: number;
  /** Bits a channel. */
  bits: number;
  channels: number;
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

function readHeader(data: Uint8Array, path: string, most: number): Header {
  if (data.length !== 13) throw damaged(path, "a PNG that begins with IHDR", "another chunk");
  const view = new DataView(data.buffer, data.byteOffset);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  expectSides({ width, height }, path, most);
  const [bits, colorType, compression, filter, interlace] = [...data.subarray(8)] as Tuple<number, 5>;
  const layout = layouts.get(colorType);
  if (!layout?.depths.includes(bits) || compression !== 0 || filter !== 0 || interlace > 1) {
    throw damaged(
      path,
      "a PNG header with a known pixel format",
      `${[bits, colorType, compression, filter, interlace]}`,
    );
  }
  return { width, height, bits, channels: layout.channels, interlaced: interlace === 1 };
}

/** Converts 16 bits to 8 as PIL does. */
function toEightBits(data: Uint16Array, { channels }: Header): Uint8Array {
  return channels === 1
    ? Uint8Array.from(data, (value) => Math.min(255, value))
    : Uint8Array.from(data, (value) => value >> 8);
}

/** EXIF, which older programs wrote as a text of hexadecimal digits, and XMP. */
function metadataOf(chunks: readonly PngChunk[], text: Record<string, string>): Metadata {
  const digits = text["Raw profile type exif"]?.split("\n").slice(3).join("");
  const exif = chunks.find(({ type }) => type === "eXIf")?.data ?? (digits && Buffer.from(digits, "hex"));
  const xmp = text["XML:com.adobe.xmp"];
  return { exif: exif || undefined, xmp: xmp === undefined ? undefined : new TextEncoder().encode(xmp) };
}

/** First column, first row, and the steps between columns and rows of Adam7's passes. */
const adam7 = [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [
  0,
  1,
  1,
  2,
]];

/** Bytes of the pixels before compression: every row begins with a byte that names its filter. */
function rawLength({ width, height, bits, channels, interlaced }: Header): number {
  const passes = interlaced ? adam7 : [[0, 0, 1, 1]];
  return passes.reduce((sum, [x, y, dx, dy]) => {
    const columns = Math.ceil((width - x!) / dx!);
    const rows = Math.ceil((height - y!) / dy!);
    return columns > 0 && rows > 0 ? sum + rows * (1 + Math.ceil(columns * bits * channels / 8)) : sum;
  }, 0);
}

/** Inflates within bounds, as pngjs would not stop at a bomb, and hangs where pixels are missing. */
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
