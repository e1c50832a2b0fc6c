import { inflateSync } from "node:zlib";
import { decodeLatin1, encodeLatin1 } from "../files/latin1.ts";
import { quote } from "../files/errors.ts";
import type { PngChunk } from "./png_chunks.ts";

const maxText = 2 ** 20; // bytes of a compressed text

/** The chunk for a text: tEXt where Latin-1 suffices, which more programs read, else iTXt in UTF-8. */
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

/** The texts of a PNG by keyword; one that cannot be decoded is left out, since the image can do without. */
export function readTexts(chunks: readonly PngChunk[]): Record<string, string> {
  return Object.fromEntries(chunks.flatMap((chunk) => {
    const entry = readText(chunk);
    return entry ? [entry] : [];
  }));
}

function readText({ type, data }: PngChunk): [string, string] | undefined {
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

function inflate(bytes: Uint8Array): Uint8Array {
  return inflateSync(bytes, { maxOutputLength: maxText });
}
