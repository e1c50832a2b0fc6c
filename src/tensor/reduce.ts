import code from "../../shaders/reduce.wgsl" with { type: "text" };
import { isFloat, type PlainDType, valueType } from "../core/dtype.ts";
import { expectOptions } from "../core/error.ts";
import { axisIndex, contiguousStrides, type Shape, size } from "../core/shape.ts";
import { WORKGROUP_MAIN } from "../gpu/shader/grid.ts";
import { snippet } from "../gpu/shader/snippet.ts";
import { recordKernel } from "./record.ts";
import type { Tensor } from "./tensor.ts";
import { plainType } from "./tensor_base.ts";

const REDUCE = snippet("reduce", code, [WORKGROUP_MAIN]);

/** Options of reductions. */
export interface ReduceOptions {
  /** Keeps reduced axes with size 1. */
  keepdim?: boolean | undefined;
}

/** The option `keepdim` (reduced axes stay, with size 1); refuses options of other names. */
export function keepdimOf(options: ReduceOptions = {}): boolean | undefined {
  expectOptions("reduce", options, ["keepdim"]);
  return options.keepdim;
}

/** Axes from the front, each once. A tensor without axes takes 0 and −1, as in torch. */
export function reducedAxes(x: Tensor, axes: number | readonly number[] = [...x.shape.keys()]): number[] {
  const all = [axes].flat().map((axis) => axisIndex(axis, Math.max(1, x.rank)));
  if (new Set(all).size === all.length) return x.rank === 0 ? [] : all;
  throw new RangeError(`Cannot reduce ${x} over axes ${[axes].flat().join(", ")}: expected each once`);
}

const KINDS = { sum: 0, mean: 1, min: 2, max: 3, prod: 4 } as const;

const PART = 16384; // columns of a long row that one workgroup takes, where others are left without work
const WORKGROUPS = 256; // that keep a GPU busy

/**
 * Sum, mean, smallest, largest or product over axes (all by default). An empty sum is 0, an empty product 1, an empty mean
 * NaN; an empty minimum throws. Sums and products of bools count in i32, means of integers are f32.
 */
export function reduce(
  kind: keyof typeof KINDS,
  x: Tensor,
  axes?: number | readonly number[],
  keepdim = false,
): Tensor {
  const from = plainType(x);
  const dtype = kind === "mean" && !isFloat(from) ? "f32" : from === "bool" ? "i32" : from;
  if (dtype !== from) {
    const result = reduce(kind, x.cast(dtype), axes, keepdim);
    return kind === "min" || kind === "max" ? result.cast(from) : result;
  }
  const gone = new Set(reducedAxes(x, axes));
  const all = x.shape.map((_, axis) => axis);
  const order = [...all.filter((axis) => !gone.has(axis)), ...all.filter((axis) => gone.has(axis))];
  const rest = order.slice(0, x.rank - gone.size).map((axis) => x.shape[axis]!);
  const [rows, columns] = [size(rest), size([...gone].map((axis) => x.shape[axis]!))];
  if (columns === 0 && (kind === "min" || kind === "max")) {
    throw new RangeError(`Cannot take the ${kind} of ${x}: expected at least one element to reduce`);
  }
  const parts = Math.max(1, Math.min(Math.ceil(columns / PART), Math.floor(WORKGROUPS / rows)));
  let dense = x.permute(order).contiguous().reshape([rows, columns]);
  if (parts > 1) {
    const wide = isFloat(dtype) ? "f32" : dtype;
    dense = reduceRows(kind === "mean" ? "sum" : kind, dense, { parts, count: columns, dtype: wide });
  }
  const result = reduceRows(kind, dense, { parts: 1, count: columns, dtype }).reshape(rest);
  return keepdim ? result.reshape(x.shape.map((n, axis) => gone.has(axis) ? 1 : n)) : result;
}

/** Reduces parts of rows; `count` divides means. x [rows, columns], dense → [rows, parts]. */
function reduceRows(
  kind: keyof typeof KINDS,
  x: Tensor,
  { parts, count, dtype }: { parts: number; count: number; dtype: PlainDType },
): Tensor {
  const [rows, columns] = x.shape as Shape<2>;
  const from = plainType(x);
  const shape = [rows, parts];
  return recordKernel("reduce", {
    inputs: [x],
    shape,
    layout: contiguousStrides(shape),
    dtype,
    code: [REDUCE],
    set: { X: from, T: valueType(from), FLOAT: `${isFloat(from)}` },
    params: { rows, columns, parts, length: Math.ceil(columns / parts), count, kind: KINDS[kind] },
    axes: [1, 1, 1, rows * parts],
    width: 1,
    workgroups: rows * parts,
    flops: rows * columns,
  });
}
