import { damaged, quote } from "../refusal.ts";

/** First bytes of a kind of file in Latin-1, where a dot stands for any byte. */
type Start = readonly [start: string, kind: string];

/** Pictures. */
const pictures: readonly Start[] = [
  ["\x89PNG\r\n\x1a\n", "a PNG"],
  ["\xff\xd8\xff", "a JPEG"],
  ["RIFF....WEBP", "a WebP"],
  ["GIF8", "a GIF"],
  ["BM", "a BMP"],
  ["II*\0", "a TIFF"],
  ["MM\0*", "a TIFF"],
  ["....ftypavi", "an AVIF"],
  ["....ftyphei", "a HEIC"],
  ["....ftypmif1", "a HEIC"],
  ["\xff\x0a", "a JPEG XL"],
  ["\0\0\0\x0cJXL ", "a JPEG XL"],
  ["\0\0\x01\0", "an icon"],
  ["<svg", "an SVG"],
  ["<?xml", "an SVG or other XML"],
];

/** What people give for pictures. */
const others: readonly Start[] = [
  ["%PDF", "a PDF"],
  ["PK\x03\x04", "a zip file"],
  ["<!DOCTYPE", "a page of HTML"],
  ["<!doctype", "a page of HTML"],
  ["<html", "a page of HTML"],
  ["version https://git-lfs", "a pointer of Git LFS"],
];

/** Bytes that suffice to tell the kind of a file. */
export const HEAD = 32;

/** The kind of a file by its first bytes, whatever it is called, and whether it is a picture. */
export function kindOf(head: Uint8Array): { kind: string; isPicture: boolean } | undefined {
  const found = (starts: readonly Start[]) => starts.find(([start]) => begins(head, start))?.[1];
  const [picture, other] = [found(pictures), found(others)];
  const kind = picture ?? other;
  return kind === undefined ? undefined : { kind, isPicture: picture !== undefined };
}

function begins(head: Uint8Array, start: string): boolean {
  return [...start].every((letter, i) => letter === "." || letter.charCodeAt(0) === head[i]);
}

/** The error for a file that is not what is read. */
export function otherFile(head: Uint8Array, path: string, expected: string): Error {
  const found = kindOf(head);
  if (found) {
    const advice = found.isPicture ? "convert it to PNG" : "name a picture";
    return new TypeError(`Cannot load ${path}: expected ${expected}, got ${found.kind}; ${advice}`);
  }
  const text = String.fromCharCode(...head.subarray(0, 12));
  return damaged(path, expected, text === "" ? "an empty file" : `a file that begins ${quote(text)}`);
}
