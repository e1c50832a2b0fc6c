import code from "../../shaders/quantile.wgsl" with { type: "text" };
import { isFloat } from "../core/dtype.ts";
import { roundHalfEven } from "../core/math.ts";
import { contiguousStrides } from "../core/shape.ts";
import { WORKGROUP_MAIN } from "../gpu/shader/grid.ts";
import { snippet } from "../gpu/shader/snippet.ts";
import { stack } from "./join.ts";
import { recordKernel } from "./record.ts";
import { rowsAlong, SORT_KEY, sortKeyOf } from "./rows.ts";
import type { Tensor } from "./tensor.ts";

const QUANTILE = snippet("quantile", code, [WORKGROUP_MAIN, SORT_KEY]);

/** Options of quantiles. */
export interface QuantileOptions {
  /** Keeps the reduced axis with size 1. */
  keepdim?: boolean | undefined;
  /** The value of a quantile that lies between two elements; "linear" by default. */
  interpolation?: "linear" | "lower" | "higher" | "nearest" | "midpoint" | undefined;
}

/** The q-quantile along an axis, or of all elements, as torch.quantile; several q make a new first axis. */
export function quantile(
  x: Tensor,
  q: number | readonly number[],
  axis: number | undefined,
  options: QuantileOptions,
): Tensor {
  if (axis === undefined) {
    const all = quantile(x.reshape([x.size]), q, 0, { ...options, keepdim: false });
    return options.keepdim ? all.reshape([...all.shape, ...x.shape.map(() => 1)]) : all;
  }
  const { rows, back } = rowsAlong(x, axis);
  const qs = typeof q === "number" ? [q] : q;
  if (!Array.isArray(qs)) {
    throw new TypeError(`Cannot take a quantile of ${x}: expected q as numbers, got ${q}`);
  }
  const bad = qs.find((one) => !(one >= 0 && one <= 1));
  if (rows.shape[1] === 0 || bad !== undefined || !isFloat(x.dtype) || qs.length === 0) {
    const got = bad ?? (isFloat(x.dtype) ? "none" : x.dtype);
    throw new RangeError(
      `Cannot take a quantile of ${x}: expected fractions along axis ${axis} and q from 0 to 1, got ${got}`,
    );
  }
  const results = qs.map((one) => {
    const kept = back(rowQuantile(rows, one, options.interpolation ?? "linear"));
    return options.keepdim || x.rank === 0 ? kept : kept.squeeze(axis);
  });
  return typeof q === "number" ? results[0]! : stack(results);
}

/** x [R, N] → [R, 1]. Ranks are computed in f32, as torch does. */
function rowQuantile(
  x: Tensor,
  q: number,
  interpolation: NonNullable<QuantileOptions["interpolation"]>,
): Tensor {
  const [rows, columns] = [x.shape[0]!, x.shape[1]!];
  const exact = Math.fround(Math.fround(q) * (columns - 1));
  const rank = {
    linear: exact,
    midpoint: exact,
    lower: Math.floor(exact),
    higher: Math.ceil(exact),
    nearest: roundHalfEven(exact),
  }[interpolation];
  const below = Math.floor(rank);
  const mixes = interpolation === "linear" || interpolation === "midpoint";
  return recordKernel("quantile", {
    inputs: [x],
    shape: [rows, 1],
    layout: contiguousStrides([rows, 1]),
    dtype: x.dtype,
    code: [QUANTILE],
    set: sortKeyOf(x),
    params: {
      rows,
      columns,
      below,
      above: Math.ceil(rank),
      mix: mixes ? 1 : 0,
      weight: interpolation === "midpoint" ? 0.5 : rank - below,
    },
    axes: [1, 1, 1, rows],
    width: 1,
    workgroups: rows,
  });
}
