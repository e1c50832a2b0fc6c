import type { Image } from "./image.ts";

/** Copies what of a picture lies within another of as many channels, from a place on that may lie outside. */
export function paste(from: Image, onto: Image, left: number, top: number): void {
  const start = Math.max(0, -left);
  const count = Math.min(from.width, onto.width - left) - start;
  for (let y = Math.max(0, -top); y < Math.min(from.height, onto.height - top); y++) {
    const at = (y * from.width + start) * from.channels;
    const row = from.data.subarray(at, at + count * from.channels);
    onto.data.set(row, ((y + top) * onto.width + left + start) * from.channels);
  }
}
