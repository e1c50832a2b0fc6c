import type { Image } from "./image.ts";

/** What pixels hold, by PIL's names: luma, colours, or colours and alpha. */
export type ImageMode = "L" | "RGB" | "RGBA";

/** All of them. */
export const imageModes: readonly ImageMode[] = ["L", "RGB", "RGBA"];

/** A picture with other channels as PIL converts it: alpha is dropped, not blended; luma is that of ITU-R 601. */
export function inMode({ width, height, channels, data }: Image, mode: ImageMode): Image {
  const wanted = ({ L: 1, RGB: 3, RGBA: 4 } as const)[mode];
  if (channels === wanted) return { width, height, channels, data };
  const pixels = new Uint8Array(width * height * wanted).fill(255);
  for (let from = 0, to = 0; from < data.length; from += channels, to += wanted) {
    const r = data[from]!;
    const [g, b] = channels === 1 ? [r, r] : [data[from + 1]!, data[from + 2]!];
    pixels[to] = wanted === 1 && channels !== 1 ? (19595 * r + 38470 * g + 7471 * b + 0x8000) >> 16 : r;
    if (wanted > 1) [pixels[to + 1], pixels[to + 2]] = [g, b];
  }
  return { width, height, channels: wanted, data: pixels };
}
