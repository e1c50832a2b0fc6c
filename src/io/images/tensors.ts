import { roundHalfEven } from "../../core/math.ts";
import { formatShape } from "../../core/shape.ts";
import { type Tensor, tensor } from "../../tensor/mod.ts";
import type { Image } from "./image.ts";

/** Pixels as values in [0, 1]. → [1, C, H, W] */
export function imageTensor(...images: readonly [Image, ...Image[]]): Tensor {
  const [{ width, height, channels }] = images;
  const pixels = width * height;
  const values = new Float32Array(images.length * channels * pixels);
  let at = 0;
  for (const { data } of images) {
    for (let c = 0; c < channels; c++) {
      for (let pixel = 0; pixel < pixels; pixel++) values[at++] = data[pixel * channels + c]! / 255;
    }
  }
  return tensor(values, [images.length, channels, height, width]);
}

/**
 * Reads pictures of values in [0, 1] as bytes, halves rounded to even as in numpy. x [C, H, W] or [B, C, H,
 * W]. Errors begin with `purpose`: "Cannot save a.png".
 */
export async function imagesOf(x: Tensor, purpose: string): Promise<[Image, ...Image[]]> {
  const [C, height, width] = x.shape.slice(-3) as [number, number, number];
  const B = x.rank === 4 ? x.shape[0]! : 1;
  if (x.rank < 3 || x.rank > 4 || ![1, 3, 4].includes(C) || B * height * width === 0) {
    throw new RangeError(
      `${purpose}: expected pictures [B, C, H, W] or one [C, H, W] of 1, 3 or 4 channels, got ${
        formatShape(x.shape)
      }`,
    );
  }
  const pixels = x.reshape([B, C, height, width]).permute([0, 2, 3, 1]);
  const bytes = toBytes(await pixels.cast("f32").data() as Float32Array);
  if (!bytes) {
    throw new Error(
      `${purpose}: the picture holds NaN or infinity; check the weights, or run in f32; ` +
        'openDevice({ check: "finite" }), in scripts --check finite, says which layer made it',
    );
  }
  const channels = C as Image["channels"];
  const size = height * width * C;
  const images = Array.from(
    { length: B },
    (_, i) => ({ width, height, channels, data: bytes.subarray(i * size, (i + 1) * size) }),
  );
  return images as [Image, ...Image[]];
}

/** Values in [0, 1] as bytes; undefined where one is not finite. */
function toBytes(values: Float32Array): Uint8Array | undefined {
  const bytes = new Uint8Array(values.length);
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (!Number.isFinite(value)) return undefined;
    bytes[i] = roundHalfEven(Math.fround(Math.min(1, Math.max(0, value)) * 255));
  }
  return bytes;
}
