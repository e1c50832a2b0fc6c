import code from "../../shaders/arg_reduce.wgsl" with { type: "text" };
import { contiguousStrides } from "../core/shape.ts";
import { WORKGROUP_MAIN } from "../gpu/shader/grid.ts";
import { snippet } from "../gpu/shader/snippet.ts";
import { recordKernel } from "./record.ts";
import { rowsAlong, SORT_KEY, sortKeyOf } from "./rows.ts";
import type { Tensor } from "./tensor.ts";

const ARG_REDUCE = snippet("arg_reduce", code, [WORKGROUP_MAIN, SORT_KEY]);

/** Indices of the first largest or smallest elements: along an axis, or one in row-major order of all. NaN counts as either. */
export function argReduce(
  kind: "argmax" | "argmin",
  x: Tensor,
  axis: number | undefined,
  keepdim = false,
): Tensor {
  if (axis === undefined) {
    const all = argReduce(kind, x.reshape([x.size]), 0);
    return keepdim ? all.reshape(x.shape.map(() => 1)) : all;
  }
  const { rows, back } = rowsAlong(x, axis);
  const [R, N] = [rows.shape[0]!, rows.shape[1]!];
  if (N === 0) {
    throw new RangeError(`Cannot take the ${kind} of ${x}: expected at least one element along axis ${axis}`);
  }
  const places = recordKernel("arg_reduce", {
    inputs: [rows],
    shape: [R, 1],
    layout: contiguousStrides([R, 1]),
    dtype: "i32",
    code: [ARG_REDUCE],
    set: sortKeyOf(rows),
    params: { rows: R, columns: N, smallest: kind === "argmin" ? 1 : 0 },
    axes: [1, 1, 1, R],
    width: 1,
    workgroups: R,
  });
  const result = back(places);
  return keepdim || x.rank === 0 ? result : result.squeeze(axis);
}
