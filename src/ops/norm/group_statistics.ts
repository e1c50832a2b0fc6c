import code from "../../../shaders/norm/group_statistics.wgsl" with { type: "text" };
import { recordKernel, snippet, type Tensor } from "../../tensor/mod.ts";
import { groupsOf, momentsOf, PARAMS, paramsOf } from "./groups.ts";
import { expectFloat } from "../values.ts";
import { MOMENTS_FLOPS } from "./flops.ts";

const GROUP_STATISTICS = snippet("norm/group_statistics", code, [PARAMS]);

/** Mean and variance of each group of channels, for norms over pictures in parts. x [B, C, ...] → [B, groups, 2]. */
export function groupStatistics(x: Tensor, groups: number): Tensor {
  expectFloat("group_statistics", x);
  const g = groupsOf(x, groups);
  const { part, set } = momentsOf(x.device.traits, g);
  return recordKernel("group_statistics", {
    inputs: g.picture.inputs,
    shape: [g.images, groups, 2],
    dtype: "f32",
    code: [...g.picture.code, ...part, GROUP_STATISTICS],
    set,
    params: paramsOf(g),
    axes: [g.images, 1, groups, 2],
    width: 1,
    workgroups: g.images * groups,
    flops: MOMENTS_FLOPS * x.size,
  });
}
