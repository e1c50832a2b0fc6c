import { crc32, inflateSync } from "node:zlib";
import { damaged, quote } from "../files/errors.ts";
import { decodeLatin1, encodeLatin1 } from "../files/latin1.ts";

/** The eight bytes that a PNG begins with. */
export const PNG_SIGNATURE: readonly number[] = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

const maxChunks = 100_000; // of 8 kB each in most files

/** A chunk of a PNG, such as IHDR or IDAT. */
export interface PngChunk {
  /** Four letters. */
  readonly type: string;
  /** The bytes between the letters and the CRC. */
  readonly data: Uint8Array;
}

/** Splits a PNG (https://www.w3.org/TR/png-3/) into chunks, up to IEND, and checks their CRCs. */
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

/** Writes a chunk with its length and CRC. */
export function joinChunk({ type, data }: PngChunk): Uint8Array {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(encodeLatin1(type), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

const maxText = 2 ** 20; // bytes of a compressed text, once it is inflated
const maxTexts = 2 ** 24; // of all of a file

/** The chunk for a text: tEXt, which more programs read, where Latin-1 suffices, else iTXt in UTF-8. */
export function textChunk(keyword: string, text: string): PngChunk {
  if (!/^[\x21-\x7e\xa1-\xff](?:[\x20-\x7e\xa1-\xff]{0,77}[\x21-\x7e\xa1-\xff])?$/.test(keyword)) {
    throw new TypeError(
      `Cannot write PNG text: expected a keyword of 1 to 79 Latin-1 letters, got ${quote(keyword)}`,
    );
  }
  if (text.includes("\0")) {
    throw new TypeError(`Cannot write PNG text ${quote(keyword)}: expected no NUL in it, got one`);
  }
  const plain = /^[\n\x20-\x7e\xa0-\xff]*$/.test(text);
  if (plain) return { type: "tEXt", data: encodeLatin1(`${keyword}\0${text}`) };
  const utf8 = new TextEncoder().encode(text);
  const data = new Uint8Array(keyword.length + 5 + utf8.length); // NUL, not compressed, no language, no translation
  data.set(encodeLatin1(keyword));
  data.set(utf8, keyword.length + 5);
  return { type: "iTXt", data };
}

/**
 * Reads the texts of a PNG by keyword. One that cannot be decoded is left out, as are compressed ones once
 * those before them were too long.
 */
export function readTexts(chunks: readonly PngChunk[]): Record<string, string> {
  let room = maxTexts;
  const inflate = (bytes: Uint8Array) => {
    const most = Math.min(room, maxText);
    room -= most; // one that is too long has cost as much
    const text = inflateSync(bytes, { maxOutputLength: most });
    room += most - text.length;
    return text;
  };
  const entries = chunks.map((chunk) => readText(chunk, inflate));
  return Object.fromEntries(entries.filter((entry) => entry !== undefined));
}

function readText(
  { type, data }: PngChunk,
  inflate: (bytes: Uint8Array) => Uint8Array,
): [keyword: string, text: string] | undefined {
  const end = data.indexOf(0);
  if (end < 1) return undefined;
  const keyword = decodeLatin1(data.subarray(0, end));
  const rest = data.subarray(end + 1);
  try {
    if (type === "tEXt") return [keyword, decodeLatin1(rest)];
    if (type === "zTXt") return [keyword, decodeLatin1(inflate(rest.subarray(1)))];
    if (type !== "iTXt") return undefined;
    const language = rest.indexOf(0, 2);
    const translation = rest.indexOf(0, language + 1);
    if (language < 0 || translation < 0) return undefined;
    const text = rest.subarray(translation + 1);
    return [keyword, new TextDecoder("utf-8", { fatal: true }).decode(rest[0] === 1 ? inflate(text) : text)];
  } catch {
    return undefined;
  }
}
