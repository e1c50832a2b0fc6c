import text from "../../shaders/lib/grid.wgsl" with { type: "text" };
import { type Snippet, snippet } from "./snippet.ts";

/** A grid for a number of workgroups: a dimension is limited, so large numbers are folded into two. */
export function foldGrid(workgroups: number, limit: number): [number, number] {
  if (workgroups <= limit) return [workgroups, 1];
  const rows = Math.ceil(workgroups / limit);
  return [Math.ceil(workgroups / rows), rows];
}

/** `workgroup_number(group, groups)`: undoes this folding in a shader. */
export const GRID: Snippet = snippet("lib/grid", text);
