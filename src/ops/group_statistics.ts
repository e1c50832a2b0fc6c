import code from "../../shaders/group_statistics.wgsl" with { type: "text" };
import { size } from "../core/shape.ts";
import { GRID, recordKernel, REDUCTION, type Tensor } from "../tensor/mod.ts";
import { valuesOf } from "./sources.ts";

/** Mean and variance of each group of channels, for norms over pictures in parts. x [B, C, ...] → [B, groups, 2]. */
export function groupStatistics(x: Tensor, groups: number): Tensor {
  const [B, C, ...pixels] = x.shape;
  const count = size(pixels);
  const flat = x.reshape([B, C, count, 1]);
  const image = flat.strides[1] === 1 ? flat : flat.channelsLast();
  const width = C / groups;
  const [x_image, , x_pixel] = image.strides;
  const values = valuesOf(width, image.offset, x_image, x_pixel);
  return recordKernel("group_statistics", {
    inputs: [image],
    shape: [B, groups, 2],
    dtype: "f32",
    code: [GRID, values.part, REDUCTION, { name: "shaders/group_statistics.wgsl", text: code }],
    set: { X: x.dtype, WG: x.device.traits.software ? 8 : 256 },
    params: { images: B, groups, pixels: count, width, x_offset: image.offset, x_image, x_pixel },
    axes: [B, 1, groups, 2],
    width: 1,
    workgroups: B * groups,
    flops: 6 * x.size,
  });
}
