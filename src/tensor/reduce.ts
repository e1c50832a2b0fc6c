import code from "../../shaders/reduce.wgsl" with { type: "text" };
import { axisIndex, contiguousStrides, size } from "../core/shape.ts";
import { recordKernel } from "./record.ts";
import { GRID } from "./sources.ts";
import type { Tensor } from "./tensor.ts";

const KINDS = { sum: 0, mean: 1, min: 2, max: 3 } as const;

/** Sum, mean, smallest or largest over axes (all by default). An empty sum is 0; an empty minimum throws. */
export function reduce(
  kind: keyof typeof KINDS,
  x: Tensor,
  axes: number | readonly number[] = x.shape.map((_, axis) => axis),
  keepdim = false,
): Tensor {
  const gone = new Set((typeof axes === "number" ? [axes] : axes).map((axis) => axisIndex(axis, x.rank)));
  const all = x.shape.map((_, axis) => axis);
  const order = [...all.filter((axis) => !gone.has(axis)), ...all.filter((axis) => gone.has(axis))];
  const rest = order.slice(0, x.rank - gone.size).map((axis) => x.shape[axis]!);
  const [rows, columns] = [size(rest), size([...gone].map((axis) => x.shape[axis]!))];
  if (columns === 0 && kind !== "sum") {
    throw new RangeError(`Cannot take the ${kind} of ${x}: expected at least one element to reduce`);
  }
  const result = recordKernel("reduce", {
    inputs: [x.permute(order).contiguous()],
    shape: rest,
    layout: contiguousStrides(rest),
    dtype: x.dtype,
    code: [GRID, { name: "shaders/reduce.wgsl", text: code }],
    set: { X: x.dtype },
    params: { rows, columns, kind: KINDS[kind] },
    axes: [1, 1, 1, rows],
    width: 1,
    workgroups: rows,
    flops: rows * columns,
  });
  return keepdim ? result.reshape(x.shape.map((n, axis) => gone.has(axis) ? 1 : n)) : result;
}
