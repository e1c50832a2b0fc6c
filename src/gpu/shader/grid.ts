import elementMain from "../../../shaders/lib/element_main.wgsl" with { type: "text" };
import grid from "../../../shaders/lib/grid.wgsl" with { type: "text" };
import workgroupMain from "../../../shaders/lib/workgroup_main.wgsl" with { type: "text" };
import { type Snippet, snippet } from "./snippet.ts";

/** A grid for a number of workgroups: a dimension is limited, so large numbers are folded into two. */
export function foldGrid(workgroups: number, limit: number): [number, number] {
  if (workgroups <= limit) return [workgroups, 1];
  const rows = Math.ceil(workgroups / limit);
  return [Math.ceil(workgroups / rows), rows];
}

/** `workgroup_number(group, groups)`: undoes this folding in a shader. */
export const GRID: Snippet = snippet("lib/grid", grid);

/** The entry of a kernel `run(place)`: an invocation for each place, 64 in a workgroup. */
export const ELEMENT_MAIN: Snippet = snippet("lib/element_main", elementMain, [GRID]);

/** The entry of a kernel `run(number, lane)`: a workgroup of WG lanes for each number. */
export const WORKGROUP_MAIN: Snippet = snippet("lib/workgroup_main", workgroupMain, [GRID]);
