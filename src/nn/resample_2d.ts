import { upsampleNearest } from "../ops/mod.ts";
import type { Tensor } from "../tensor/mod.ts";
import { conv3x3, type Layer } from "./layers.ts";

/** Weights of a sampler: a convolution after, or in place of, the change of size. */
export interface Sampler2D {
  conv: Layer;
}

/** Halves the size by a strided convolution. x [B, C, H, W] → [B, C, H / 2, W / 2]. */
export function downsample2D(x: Tensor, w: Sampler2D, { padding }: { padding: number }): Tensor {
  // Padding 0 still means one row and one column of zeros, at the bottom and at the right only.
  return conv3x3(x, w.conv, x.shape[1]!, { stride: 2, padding: padding === 0 ? [0, 1, 0, 1] : padding });
}

/** Repeats pixels up to `size`, then convolves. x [B, C, H, W] → [B, C, ...size]. */
export function upsample2D(x: Tensor, w: Sampler2D, { size }: { size: [H: number, W: number] }): Tensor {
  const [C, H, W] = x.shape.slice(1) as [number, number, number];
  const twice = size[0] === 2 * H && size[1] === 2 * W; // the convolution can read pixels twice by itself
  return twice ? conv3x3(x, w.conv, C, { upsample: 2 }) : conv3x3(upsampleNearest(x, { size }), w.conv, C);
}
