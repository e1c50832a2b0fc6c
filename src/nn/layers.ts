import { formatShape, sameNumbers } from "../core/shape.ts";
import * as ops from "../ops/mod.ts";
import type { Affine, Conv2dOptions, GroupNormOptions, LinearOptions } from "../ops/mod.ts";
import type { Tensor } from "../tensor/mod.ts";

/** A layer with one weight and one bias, e.g. `w.conv_in` or `w.norm1`. */
export interface Layer extends Affine {
  bias: Tensor;
}

/** A layer that was trained without a bias, e.g. `w.to_q`. */
export type Projection = Pick<Affine, "weight">;

/** Throws unless a weight has the shape that the config asks for. */
export function expectShape(weight: Tensor, shape: readonly number[]): void {
  if (sameNumbers(weight.shape, shape)) return;
  throw new RangeError(
    `Cannot use "${weight.label}": expected shape ${formatShape(shape)}, got ${formatShape(weight.shape)}; ` +
      "the config and the weights are of different models",
  );
}

/** 3×3 convolution, which by default keeps the size. x [B, C, H, W] → [B, channels, H', W']. */
export function conv3x3(x: Tensor, w: Layer, channels: number, options: Conv2dOptions = {}): Tensor {
  return conv(x, w, channels, 3, { padding: 1, ...options });
}

/** A dense layer over the channels of each pixel. x [B, C, H, W] → [B, channels, H, W]. */
export function conv1x1(x: Tensor, w: Layer, channels: number): Tensor {
  return conv(x, w, channels, 1, {});
}

/** Convolution by a square kernel. x [B, C, H, W] → [B, channels, H', W']. */
export function conv(
  x: Tensor,
  w: Layer,
  channels: number,
  kernel: number,
  options: Conv2dOptions,
): Tensor {
  expectShape(w.weight, [channels, x.shape[1]!, kernel, kernel]);
  expectShape(w.bias, [channels]);
  return ops.conv2d(x, w, options);
}

/** y = x · weightᵀ + bias. x [.., K] → [.., width]. */
export function dense(x: Tensor, w: Layer, width: number): Tensor {
  expectShape(w.weight, [width, x.shape.at(-1)!]);
  expectShape(w.bias, [width]);
  return ops.linear(x, w);
}

/** y = x · weightᵀ, a dense layer without a bias. x [.., K] → [.., width]. */
export function project(x: Tensor, { weight }: Projection, width: number, options?: LinearOptions): Tensor {
  expectShape(weight, [width, x.shape.at(-1)!]);
  return ops.linear(x, { weight }, options);
}

/** Group normalisation with one weight and one bias a channel, by the options of a block or a config's. x [B, C, ...]. */
export function groupNorm(x: Tensor, w: Layer, { groups, eps }: GroupNormOptions): Tensor {
  expectShape(w.weight, [x.shape[1]!]);
  expectShape(w.bias, [x.shape[1]!]);
  return ops.groupNorm(x, w, { groups, eps });
}

/** Layer normalisation of each token. x [B, N, D]. */
export function layerNorm(x: Tensor, { weight, bias }: Layer, eps: number): Tensor {
  expectShape(weight, [x.shape[2]!]);
  expectShape(bias, [x.shape[2]!]);
  return ops.layerNorm(x, { weight, bias }, { eps });
}

/** Rows of a table [rows, width] by their ids [B] → [B, width]. */
export function embedding(ids: Tensor, { weight }: { weight: Tensor }, rows: number, width: number): Tensor {
  expectShape(weight, [rows, width]);
  return ops.gather(weight, ids);
}
