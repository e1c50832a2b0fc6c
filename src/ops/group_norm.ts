import type { Shape } from "../core/shape.ts";
import code from "../../shaders/group_norm.wgsl" with { type: "text" };
import normParts from "../../shaders/group_norm_parts.wgsl" with { type: "text" };
import partsCode from "../../shaders/group_parts.wgsl" with { type: "text" };
import { GRID, recordKernel, REDUCTION, snippet, type Tensor } from "../tensor/mod.ts";
import { type GroupKernel, groupKernel, MOMENTS } from "./group_kernel.ts";
import type { Affine } from "./linear.ts";

const WHOLE = snippet("group_norm", code, [GRID, MOMENTS]);
const PARTS = snippet("group_parts", partsCode, [GRID, MOMENTS]);
const NORM_PARTS = snippet("group_norm_parts", normParts, [GRID, REDUCTION]);

/** Options of `groupNorm`. */
export interface GroupNormOptions {
  /** Must divide C. */
  groups: number;
  /** Added to the variance; 1e-5 by default. */
  eps?: number | undefined;
}

/** Elements of a group from which a GPU takes it in parts: one workgroup would read them for longer than a dispatch costs. */
const LARGE = 1 << 17;
const PART = 1 << 13; // elements of a part, at least

/** y = (x − mean) / √(var + eps) · weight + bias per group of channels (Wu & He 2018), as in torch. x [B, C, ...]. */
export function groupNorm(x: Tensor, w: Partial<Affine>, { groups, eps = 1e-5 }: GroupNormOptions): Tensor {
  const [B, C] = x.shape as Shape<2>;
  if (C % groups !== 0) {
    throw new RangeError(`Cannot normalise ${x}: expected channels that ${groups} groups divide, got ${C}`);
  }
  const kernel = groupKernel(x, groups);
  const inParts = !x.device.traits.software && x.size / (B * groups) >= LARGE;
  let y = inParts ? normalizeInParts(kernel, eps) : normalize(kernel, eps);
  if (w.weight) y = y.mul(w.weight.reshape([C, 1, 1]));
  if (w.bias) y = y.add(w.bias.reshape([C, 1, 1]));
  return y.reshape(x.shape);
}

/** One workgroup for each group and image. */
function normalize({ image, values, params, ...kernel }: GroupKernel, eps: number): Tensor {
  const [B, C, pixels] = image.shape as Shape<3>;
  return recordKernel("group_norm", {
    inputs: [image],
    shape: image.shape,
    dtype: image.dtype,
    ...kernel,
    code: [values, WHOLE],
    params: { ...params, eps },
    axes: [B, 1, pixels, C],
    flops: 8 * image.size,
  });
}

/** Many workgroups for each group and image: first the moments of their parts, then the picture. */
function normalizeInParts({ image, values, params, ...kernel }: GroupKernel, eps: number): Tensor {
  const [B, C, pixels] = image.shape as Shape<3>;
  const { groups, width } = params;
  const part = Math.ceil(PART / width);
  const parts = Math.ceil(pixels / part);
  const shared = { ...params, parts, part };
  const workgroups = kernel.workgroups * parts;
  const moments = recordKernel("group_parts", {
    inputs: [image],
    shape: [B, groups, parts, 3],
    layout: [groups * parts * 3, parts * 3, 3, 1],
    dtype: "f32",
    ...kernel,
    code: [values, PARTS],
    params: shared,
    axes: [B, groups, parts, 3],
    width: 1,
    workgroups,
    flops: 6 * image.size,
  });
  return recordKernel("group_norm_parts", {
    inputs: [image, moments],
    shape: image.shape,
    dtype: image.dtype,
    ...kernel,
    code: [values, NORM_PARTS],
    params: { ...shared, eps },
    axes: [B, 1, pixels, C],
    workgroups,
    flops: 2 * image.size,
  });
}
