import { crc32 } from "node:zlib";
import { decodeLatin1, encodeLatin1 } from "../files/latin1.ts";
import { damaged, quote } from "../files/errors.ts";

/** The eight bytes that a PNG begins with. */
export const PNG_SIGNATURE: readonly number[] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

const maxChunks = 100_000; // of 8 kB each in most files

/** A part of a PNG, such as IHDR or IDAT. */
export interface PngChunk {
  /** Four letters. */
  readonly type: string;
  /** What stands between the letters and the CRC. */
  readonly data: Uint8Array;
}

/**
 * Splits a PNG (https://www.w3.org/TR/png-3/) behind its signature into chunks,
 * up to IEND, and checks their CRCs.
 */
export function splitChunks(png: Uint8Array, path: string): PngChunk[] {
  const view = new DataView(png.buffer, png.byteOffset, png.byteLength);
  const chunks: PngChunk[] = [];
  let at = PNG_SIGNATURE.length;
  while (chunks.at(-1)?.type !== "IEND") {
    const length = at + 12 <= png.length ? view.getUint32(at) : Infinity;
    if (at + 12 + length > png.length) {
      throw damaged(path, "PNG chunks up to IEND", `the end after ${png.length} bytes`);
    }
    if (chunks.length === maxChunks) throw damaged(path, `at most ${maxChunks} PNG chunks`, "more");
    const body = png.subarray(at + 4, at + 8 + length);
    const type = decodeLatin1(body.subarray(0, 4));
    if (crc32(body) !== view.getUint32(at + 8 + length)) {
      throw damaged(path, `PNG chunk ${quote(type)} with its checksum`, "another");
    }
    chunks.push({ type, data: body.subarray(4) });
    at += 12 + length;
  }
  return chunks;
}

/** The bytes of a chunk, with length and CRC. */
export function joinChunk({ type, data }: PngChunk): Uint8Array {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(encodeLatin1(type), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}
