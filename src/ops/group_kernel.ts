import moments from "../../shaders/lib/group_moments.wgsl" with { type: "text" };
import { type Shape, size } from "../core/shape.ts";
import { REDUCTION, type Snippet, snippet, type Tensor } from "../tensor/mod.ts";
import { valuesOf } from "./values.ts";

/** `group_moments`: mean and variance of a group of channels, by all invocations of a workgroup. */
export const MOMENTS = snippet("lib/group_moments", moments, [REDUCTION]);

const PARAMS = ["images", "groups", "pixels", "width", "x_offset", "x_image", "x_pixel"] as const;

/** What kernels that go over groups of channels share: the picture as [B, C, pixels, 1], and how they read it. */
export interface GroupKernel {
  readonly image: Tensor;
  /** The snippet through which the kernel reads the picture. */
  readonly values: Snippet;
  /** Channels that a group's kernel takes at once. */
  readonly width: 1 | 4;
  readonly set: Readonly<Record<string, string | number>>;
  readonly params: Readonly<Record<typeof PARAMS[number], number>>;
  readonly workgroups: number;
}

/** Prepares a kernel of one workgroup per group and image. x [B, C, ...]. */
export function groupKernel(x: Tensor, groups: number): GroupKernel {
  const [B, C, ...sides] = x.shape as readonly [number, number, ...number[]];
  const pixels = size(sides);
  const flat = x.reshape([B, C, pixels, 1]);
  const image = flat.strides[1] === 1 ? flat : flat.channelsLast();
  const width = C / groups;
  const [x_image, , x_pixel] = image.strides as Shape<3>;
  const values = valuesOf(width, image.offset, x_image, x_pixel);
  return {
    image,
    values: values.part,
    width: values.width,
    set: { X: x.dtype, WG: x.device.traits.software ? 8 : 256 },
    params: { images: B, groups, pixels, width, x_offset: image.offset, x_image, x_pixel },
    workgroups: B * groups,
  };
}
