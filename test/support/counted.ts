import assert from "node:assert/strict";
import type { Device } from "../../src/gpu/device.ts";
import type { Expr } from "../../src/graph/expr.ts";
import type { Group } from "../../src/graph/fusion/fuse.ts";
import { stepsOfGroup } from "../../src/graph/fusion/step.ts";
import type { Candidate, Kernel, Node, Operand, Pass, View } from "../../src/graph/node.ts";
import { groupsOf } from "../../src/graph/run/layout.ts";
import { streamOf } from "../../src/graph/run/stream.ts";
import { choose } from "../../src/graph/tuning/choice.ts";

// Operations and bytes of dispatches, counted from the shapes of what is read and written by the formulas of torch's
// FlopCounterMode and of papers. Uses none of the counts that operators and steps make.

const BYTES: Readonly<Record<string, number>> = {
  f32: 4,
  f16: 2,
  i32: 4,
  u32: 4,
  bool: 4,
  int8: 68 / 64, // with a scale of two bytes for each 32
  int4: 36 / 64,
};

/** Operations for each element of the result, as formulas have them. */
const EACH: Readonly<Record<string, number>> = {
  group_norm: 6, // sum; difference, square, sum; difference, product
  layer_norm: 6,
  rms_norm: 3, // square, sum; product
  rms_norm_rotary: 3 + 1 + 3, // the same, its weight, and of each pair four products and two sums
  rotary: 3,
  softmax: 5, // maximum, difference, exp, sum, quotient
  upsample_nearest: 0,
  gather: 0,
};

const product = (numbers: readonly number[]) => numbers.reduce((a, b) => a * b, 1);

/** Operations of a kernel itself, of products apart from the rest. */
export function kernelFlops({ spec }: Kernel): { products: number; others: number } {
  const { name, inputs, axes } = spec;
  const out = product(axes);
  if (name === "gemm") {
    const [x] = inputs;
    const weight = inputs.slice(1).find(({ node, shape }) =>
      "label" in node && shape.length !== 1 && shape !== x!.shape
    );
    const [, , m, n] = axes;
    if (weight?.shape.length === 4) return { products: 2 * out * product(weight.shape.slice(1)), others: 0 };
    const isGate = weight?.shape.length === 2 && weight.shape[0] === 2 * n!;
    const k = x!.shape.at(-2) === m || weight ? x!.shape.at(-1)! : NaN;
    return isGate ? { products: 4 * out * k, others: 4 * m! * n! } : { products: 2 * out * k, others: 0 };
  }
  if (name === "attention") {
    const [q, k, v] = inputs as [View, View, View];
    const [B, H, L, D] = q.shape as [number, number, number, number];
    return { products: 2 * B * H * L * k.shape[2]! * (D + v.shape[3]!), others: 0 };
  }
  if (name === "reduce") return { products: 0, others: product(inputs[0]!.shape) };
  const each = EACH[name];
  if (each === undefined) throw new Error(`no formula for ${name}`);
  return { products: 0, others: each * out };
}

/** Names in an expression that are no casts. */
function exprOperations(expr: Expr): number {
  if (!("args" in expr)) return 0;
  const own = ["f32", "i32", "u32", "bool"].includes(expr.op) ? 0 : 1;
  return expr.args.reduce((sum, arg) => sum + exprOperations(arg), own);
}

/** Operations of a group of fused nodes. */
export function groupFlops({ kernel, expr, output }: Group): number {
  const { products, others } = kernel ? kernelFlops(kernel) : { products: 0, others: 0 };
  return products + others + exprOperations(expr) * output.count;
}

/** Bytes that each dispatch of a group moves: every element that some view of it reaches is read once. */
export function groupBytes({ kernel, operands, output }: Group, candidate?: Candidate): number[] {
  const others = operands.filter(({ node }) => node !== kernel);
  const written = output.count * BYTES[output.dtype]!;
  if (!kernel) return [readBytes(others) + written];
  const { before = [] } = candidate!;
  const views: { bytes: number; view?: View }[] = kernel.spec.inputs.map((view) => ({ bytes: 0, view }));
  const readsOf = ({ reads }: Pass) => (reads ?? [...kernel.spec.inputs.keys()]).map((i) => views[i]!);
  const bytesOf = (reads: ReturnType<typeof readsOf>, more: readonly Operand[]) =>
    readBytes([...reads.flatMap(({ view }) => view ?? []), ...more]) +
    reads.reduce((sum, { bytes }) => sum + bytes, 0);
  const first = before.map((pass) => {
    const made = product(pass.axes) * BYTES[pass.dtype]!;
    const moved = bytesOf(readsOf(pass), []) + made;
    views.push({ bytes: made });
    return moved;
  });
  return [...first, bytesOf(readsOf(candidate!), others) + written];
}

/** Marks every element that some views reach, and sums their bytes. */
function readBytes(views: readonly Operand[]): number {
  const marks = new Map<Node, Uint8Array>();
  for (const { node, shape, strides, offset, window } of views) {
    let marked = marks.get(node);
    if (!marked) marks.set(node, marked = new Uint8Array(Math.ceil(node.count)));
    const mark = (axis: number, at: number) => {
      if (axis === shape.length) {
        if (at < 0 || at >= node.count) throw new Error(`a view reads ${at} of ${node.count} elements`);
        marked[at] = 1;
        return;
      }
      const [first, length] = window?.axis === axis ? [0, window.length] : [0, shape[axis]!];
      const step = strides[axis]!;
      for (let i = first; i < (step === 0 ? Math.min(1, length) : length); i++) mark(axis + 1, at + i * step);
    };
    mark(0, offset);
  }
  return [...marks].reduce(
    (sum, [{ dtype }, marked]) => sum + marked.reduce((a, b) => a + b, 0) * BYTES[dtype]!,
    0,
  );
}

/**
 * Asserts that the operations and bytes of every dispatch of the models that ran equal these counts. Returns the operations of
 * products, convolutions and attention by module.
 */
export function expectCounts(device: Device): Map<string, number> {
  const products = new Map<string, number>();
  const ran = streamOf(device).plans.filter((plan) => plan.memory().values.length > 0); // loading traces others
  assert.ok(ran.length > 0);
  for (const group of ran.flatMap((plan) => groupsOf(device, plan.outputs))) {
    const candidate = group.kernel && choose(device, group.kernel);
    const details = stepsOfGroup(group, () => candidate!).map(({ details }) => details());
    const what = `${group.kernel?.spec.name ?? "pointwise"} of ${group.output.path}`;
    assert.equal(details.reduce((sum, { flops }) => sum + flops, 0), groupFlops(group), what);
    assert.deepEqual(details.map(({ bytes }) => bytes), groupBytes(group, candidate), what);
    if (!group.kernel) continue;
    const { path } = group.kernel;
    products.set(path, (products.get(path) ?? 0) + kernelFlops(group.kernel).products);
  }
  return products;
}
