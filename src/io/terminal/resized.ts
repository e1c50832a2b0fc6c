import type { Image } from "../png.ts";

/** A picture at another size, between its pixels by straight lines. */
export function resized(
  { width, height, channels, data }: Image,
  to: { width: number; height: number },
): Image {
  const rows = placesOf(height, to.height);
  const columns = placesOf(width, to.width);
  const pixels = new Uint8Array(to.width * to.height * channels);
  let at = 0;
  for (const y of rows) {
    for (const x of columns) {
      for (let c = 0; c < channels; c++) {
        const value = (row: number, column: number) => data[(row * width + column) * channels + c];
        const top = value(y.low, x.low)! * (1 - x.part) + value(y.low, x.high)! * x.part;
        const bottom = value(y.high, x.low)! * (1 - x.part) + value(y.high, x.high)! * x.part;
        pixels[at++] = Math.round(top * (1 - y.part) + bottom * y.part);
      }
    }
  }
  return { ...to, channels, data: pixels };
}

/** For each of `to` places the two of `from` that it lies between, and how near it is to the second. */
function placesOf(from: number, to: number): { low: number; high: number; part: number }[] {
  return Array.from({ length: to }, (_, i) => {
    const place = Math.min(from - 1, Math.max(0, (i + 0.5) * from / to - 0.5));
    const low = Math.floor(place);
    return { low, high: Math.min(from - 1, low + 1), part: place - low };
  });
}
