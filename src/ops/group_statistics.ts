import code from "../../shaders/group_statistics.wgsl" with { type: "text" };
import { GRID, recordKernel, snippet, type Tensor } from "../tensor/mod.ts";
import { groupKernel, MOMENTS } from "./group_kernel.ts";

const GROUP_STATISTICS = snippet("group_statistics", code, [GRID, MOMENTS]);

/** Mean and variance of each group of channels, for norms over pictures in parts. x [B, C, ...] → [B, groups, 2]. */
export function groupStatistics(x: Tensor, groups: number): Tensor {
  const B = x.shape[0]!;
  const { image, values, set, params, workgroups } = groupKernel(x, groups);
  return recordKernel("group_statistics", {
    inputs: [image],
    shape: [B, groups, 2],
    dtype: "f32",
    code: [values, GROUP_STATISTICS],
    set,
    params,
    axes: [B, 1, groups, 2],
    width: 1,
    workgroups,
    flops: 6 * x.size,
  });
}
