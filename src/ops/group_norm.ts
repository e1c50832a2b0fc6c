import code from "../../shaders/group_norm.wgsl" with { type: "text" };
import { recordKernel, type Tensor } from "../tensor/mod.ts";
import { groupKernel } from "./group_kernel.ts";
import type { Affine } from "./linear.ts";

/** Options of `groupNorm`. */
export interface GroupNormOptions {
  /** Must divide C. */
  groups: number;
  /** Added to the variance; 1e-5 by default. */
  eps?: number;
}

/** y = (x − mean) / √(var + eps) · weight + bias per group of channels (Wu & He 2018), as in torch. x [B, C, ...]. */
export function groupNorm(x: Tensor, w: Partial<Affine>, { groups, eps = 1e-5 }: GroupNormOptions): Tensor {
  const [B, C] = x.shape;
  if (C % groups !== 0) {
    throw new RangeError(`Cannot normalise ${x}: expected channels that ${groups} groups divide, got ${C}`);
  }
  const kernel = groupKernel(x, groups);
  const { image, width, set, workgroups } = kernel;
  let y = recordKernel("group_norm", {
    inputs: [image],
    shape: image.shape,
    dtype: x.dtype,
    code: [...kernel.code, { name: "shaders/group_norm.wgsl", text: code }],
    set,
    params: { ...kernel.params, eps },
    axes: [B, 1, image.shape[2], C],
    width,
    workgroups,
    flops: 8 * x.size,
  });
  if (w.weight) y = y.mul(w.weight.reshape([C, 1, 1]));
  if (w.bias) y = y.add(w.bias.reshape([C, 1, 1]));
  return y.reshape(x.shape);
}
