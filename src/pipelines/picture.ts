import type { Tuple } from "../core/shape.ts";
import type { Image } from "../io/png.ts";
import { type Tensor, tensor } from "../tensor/mod.ts";

/** The pixels of a file as pipelines take pictures: in [0, 1], without alpha. → [1, 3, H, W]. */
export function pictureOf({ width, height, channels, data }: Image): Tensor {
  const colors = channels < 3 ? [0, 0, 0] : [0, 1, 2];
  return planes({ width, height }, colors.length, (pixel, plane) => data[pixel * channels + colors[plane]!]!);
}

/** The luma of a file as pipelines take masks, rounded as in PIL. → [1, 1, H, W]. */
export function maskOf({ width, height, channels, data }: Image): Tensor {
  return planes({ width, height }, 1, (pixel) => {
    const [r, g, b] = [...data.subarray(pixel * channels, pixel * channels + 3)] as Tuple<number, 3>;
    return channels < 3 ? r : (19595 * r + 38470 * g + 7471 * b + 0x8000) >> 16;
  });
}

function planes(
  { width, height }: Pick<Image, "width" | "height">,
  count: number,
  byte: (pixel: number, plane: number) => number,
): Tensor {
  const pixels = width * height;
  const values = Float32Array.from(
    { length: count * pixels },
    (_, i) => byte(i % pixels, Math.floor(i / pixels)) / 255,
  );
  return tensor(values, [1, count, height, width]);
}
