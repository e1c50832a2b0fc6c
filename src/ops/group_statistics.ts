import code from "../../shaders/group_statistics.wgsl" with { type: "text" };
import { recordKernel, type Tensor } from "../tensor/mod.ts";
import { groupKernel } from "./group_kernel.ts";

/** Mean and variance of each group of channels, for norms over pictures in parts. x [B, C, ...] → [B, groups, 2]. */
export function groupStatistics(x: Tensor, groups: number): Tensor {
  const B = x.shape[0]!;
  const { image, set, params, workgroups, ...kernel } = groupKernel(x, groups);
  return recordKernel("group_statistics", {
    inputs: [image],
    shape: [B, groups, 2],
    dtype: "f32",
    code: [...kernel.code, { name: "shaders/group_statistics.wgsl", text: code }],
    set,
    params,
    axes: [B, 1, groups, 2],
    width: 1,
    workgroups,
    flops: 6 * x.size,
  });
}
