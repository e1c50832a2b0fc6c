import code from "../../shaders/group_norm.wgsl" with { type: "text" };
import { size } from "../core/shape.ts";
import { GRID, recordKernel, REDUCTION, type Tensor } from "../tensor/mod.ts";
import type { Affine } from "./linear.ts";
import { valuesOf } from "./sources.ts";

/** Options of `groupNorm`. */
export interface GroupNormOptions {
  /** Must divide C. */
  groups: number;
  /** Added to the variance; 1e-5 by default. */
  eps?: number;
}

/** y = (x − mean) / √(var + eps) · weight + bias per group of channels (Wu & He 2018), as in torch. x [B, C, ...]. */
export function groupNorm(x: Tensor, w: Partial<Affine>, { groups, eps = 1e-5 }: GroupNormOptions): Tensor {
  const [B, C, ...pixels] = x.shape;
  if (C % groups !== 0) {
    throw new RangeError(`Cannot normalise ${x}: expected channels that ${groups} groups divide, got ${C}`);
  }
  const count = size(pixels);
  const flat = x.reshape([B, C, count, 1]);
  const image = flat.strides[1] === 1 ? flat : flat.channelsLast();
  const width = C / groups;
  const [x_image, , x_pixel] = image.strides;
  const values = valuesOf(width, image.offset, x_image, x_pixel);
  let y = recordKernel("group_norm", {
    inputs: [image],
    shape: image.shape,
    dtype: x.dtype,
    code: [GRID, values.part, REDUCTION, { name: "shaders/group_norm.wgsl", text: code }],
    set: { X: x.dtype, WG: x.device.traits.software ? 8 : 256 },
    params: { images: B, groups, pixels: count, width, x_offset: image.offset, x_image, x_pixel, eps },
    axes: [B, 1, count, C],
    width: values.width,
    workgroups: B * groups,
    flops: 8 * x.size,
  });
  if (w.weight) y = y.mul(w.weight.reshape([C, 1, 1]));
  if (w.bias) y = y.add(w.bias.reshape([C, 1, 1]));
  return y.reshape(x.shape);
}
