import code from "../../shaders/reduce.wgsl" with { type: "text" };
import { isFloat, valueType } from "../core/dtype.ts";
import { expectOptions } from "../core/error.ts";
import { axisIndex, contiguousStrides, size } from "../core/shape.ts";
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
  const result = recordKernel("reduce", {
    inputs: [x.permute(order).contiguous()],
    shape: rest,
    layout: contiguousStrides(rest),
    dtype,
    code: [REDUCE],
    set: { X: dtype, T: valueType(dtype), FLOAT: `${isFloat(dtype)}` },
    params: { rows, columns, kind: KINDS[kind] },
    axes: [1, 1, 1, rows],
    width: 1,
    workgroups: rows,
    flops: rows * columns,
  });
  return keepdim ? result.reshape(x.shape.map((n, axis) => gone.has(axis) ? 1 : n)) : result;
}
