import type { Image } from "./image.ts";
import { paste } from "./paste.ts";

/** Pictures of one size side by side, row by row; black where the last row ends early. */
export function gridOf(images: readonly [Image, ...Image[]], columns: number): Image {
  const [{ width, height, channels }] = images;
  const size = { width: columns * width, height: Math.ceil(images.length / columns) * height };
  const grid: Image = { ...size, channels, data: new Uint8Array(size.width * size.height * channels) };
  images.forEach((image, i) => paste(image, grid, i % columns * width, Math.floor(i / columns) * height));
  return grid;
}
