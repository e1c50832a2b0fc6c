import grid from "../../shaders/lib/grid.wgsl" with { type: "text" };
import reduction from "../../shaders/lib/reduction.wgsl" with { type: "text" };
import type { SourcePart } from "../gpu/pipelines.ts";

/** `workgroup_number(group, groups)`: undoes the folding of large grids into two dimensions. */
export const GRID: SourcePart = { name: "shaders/lib/grid.wgsl", text: grid };

/** `workgroup_sum` and `workgroup_max`: one value per invocation, reduced over the workgroup. */
export const REDUCTION: SourcePart = { name: "shaders/lib/reduction.wgsl", text: reduction };
