import { bytesOf } from "../../core/dtype.ts";
import { sameNumbers, sameStrides } from "../../core/shape.ts";
import type { DispatchDetails } from "../../gpu/profiling/records.ts";
import { exprFlops, exprText } from "../expr.ts";
import { Leaf, type Node, type Operand, type View } from "../node.ts";
import type { Group } from "./fuse.ts";

/** Names by which formulas call operands: v is the kernel's own value, if there is one. */
export function operandNames(operands: readonly Operand[], value: Node | undefined): string[] {
  return operands.map(({ node }, i) => node === value ? "v" : `x${i}`);
}

/**
 * Details of a dispatch of a group: of a kernel, which makes `value` in some operations and reads some tensors, and of the
 * expression that is fused into it.
 */
export function detailsOf(
  group: Group,
  kernel?: { value: Node; flops: number; reads: readonly View[] },
): DispatchDetails {
  const { expr, operands, output } = group;
  const { value, flops = 0, reads = [] } = kernel ?? {};
  const names = operandNames(operands, value);
  const others = operands.filter(({ node }) => node !== value);
  const named = ({ node, shape }: View) => ({
    name: node instanceof Leaf ? node.label : "",
    shape: [...shape],
    dtype: node.dtype,
  });
  const fused = others.map((operand) => ({
    ...named({ ...operand, shape: operand.shape.map((n, axis) => operand.strides[axis] === 0 ? 1 : n) }),
    as: names[operands.indexOf(operand)],
  }));
  return {
    flops: flops + exprFlops(expr) * output.count,
    bytes: bytesRead([...reads, ...others]) + output.bytes,
    dtype: output.dtype,
    inputs: [...reads.map(named), ...fused],
    fused: expr.op === "operand" && names[expr.index] === "v" ? "" : exprText(expr, names),
  };
}

/** Bytes that are read at least: each element that a view reaches once, those of equal views together. */
function bytesRead(reads: readonly Operand[]): number {
  const counts = new Map<Node, number>();
  for (const [i, one] of reads.entries()) {
    const isKnown = reads.slice(0, i).some((other) => readsAlike(one, other));
    if (!isKnown) counts.set(one.node, (counts.get(one.node) ?? 0) + reached(one));
  }
  return [...counts].reduce((sum, [{ count, dtype }, n]) => sum + Math.min(n, count) * bytesOf(dtype), 0);
}

function readsAlike(a: Operand, b: Operand): boolean {
  return a.node === b.node && a.offset === b.offset && sameStrides(a.shape, a.strides, b.strides) &&
    sameNumbers(a.shape, b.shape) && a.window === b.window;
}

/** Elements that a view reads, each counted once where an axis repeats them. */
function reached({ shape, strides, window }: Operand): number {
  return shape.reduce((count, n, axis) => {
    const length = window?.axis === axis ? window.length : n;
    return count * (strides[axis] === 0 ? Math.min(1, length) : length);
  }, 1);
}

/** The same result, made at the first call. */
export function once<T>(make: () => T): () => T {
  let made: { value: T } | undefined;
  return () => (made ??= { value: make() }).value;
}
