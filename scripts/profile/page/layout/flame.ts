// @ts-types="@types/d3"
import * as d3 from "d3";
import { fullPath, shapeText } from "../../figures.ts";
import type { ProfileRow } from "../../form.ts";
import { namesOf } from "./names.ts";

/** A module or, at the tip, a kernel of it at a size. */
export interface FlameNode {
  readonly name: string;
  /** The module's, with the model in front. */
  readonly path: string;
  /** Kernel at the tip; undefined of modules. */
  readonly kernel: string | undefined;
  /** Indices of all rows within. */
  readonly rows: number[];
  /** Time of the rows that are here, not in a child, in ms of a step or run. */
  ownMs: number;
  readonly children: Map<string, FlameNode>;
}

/** A node with its place: from x0 to x1 of 0 to 1, and depth 0 at the root. */
export interface FlameRect {
  readonly node: FlameNode;
  readonly depth: number;
  readonly x0: number;
  readonly x1: number;
  readonly ms: number;
}

/** Rows by module, as wide as they take long; within a module the longest come first. */
export function flameOf(rows: readonly ProfileRow[], units: number): FlameRect[] {
  const nodeOf = (name: string, path: string, kernel?: string): FlameNode => ({
    name,
    path,
    kernel,
    rows: [],
    ownMs: 0,
    children: new Map(),
  });
  const root = nodeOf("all", "");
  for (const [i, row] of rows.entries()) {
    let node = root;
    node.rows.push(i);
    const names = namesOf(fullPath(row));
    const within = (key: string, make: () => FlameNode) => {
      const child = node.children.get(key) ?? make();
      node.children.set(key, child);
      child.rows.push(i);
      node = child;
    };
    for (const [depth, name] of names.entries()) {
      within(`module ${name}`, () => nodeOf(name, names.slice(0, depth + 1).join(".")));
    }
    const tip = `${row.kernel} ${shapeText(row)}`;
    within(`kernel ${tip}`, () => nodeOf(tip, fullPath(row), row.kernel));
    node.ownMs += row.totalMs / units;
  }
  const tree = d3.hierarchy(root, ({ children }) => [...children.values()])
    .sum(({ ownMs }) => ownMs)
    .sort((a, b) => b.value! - a.value!);
  return d3.partition<FlameNode>()(tree).descendants().map(({ data, depth, x0, x1, value }) => ({
    node: data,
    depth,
    x0,
    x1,
    ms: value!,
  }));
}
