import { isFloat } from "../core/dtype.ts";
import { axisIndex, size } from "../core/shape.ts";
import { full } from "./create.ts";
import { where } from "./pointwise.ts";
import { reduce } from "./reduce.ts";
import type { Tensor } from "./tensor.ts";
import { plainType } from "./tensor_base.ts";

// Reductions that are made of others; the methods of tensors say what they do.

/** Axes of a reduction; all where there are none given. */
export type Axes = number | readonly number[] | undefined;

/** Elements that one result is made of. */
function reducedSize(x: Tensor, axes: Axes): number {
  const all = axes === undefined ? x.shape.map((_, axis) => axis) : [axes].flat();
  return size(all.map((axis) => x.shape[axisIndex(axis, x.rank)]!));
}

function floating(x: Tensor): Tensor {
  return isFloat(plainType(x)) ? x : x.to("f32");
}

/** True where any, or every, element is not 0. */
export function anyOrAll(kind: "any" | "all", x: Tensor, axes: Axes, keepdim?: boolean): Tensor {
  const ones = x.to("bool").to("i32");
  if (reducedSize(x, axes) === 0) { // nothing to look at
    const { shape } = reduce("sum", ones, axes, keepdim);
    return full(shape, kind === "all");
  }
  return reduce(kind === "any" ? "max" : "min", ones, axes, keepdim).to("bool");
}

/** The mean squared distance from the mean, over n − correction. */
export function variance(x: Tensor, axes: Axes, correction = 1, keepdim?: boolean): Tensor {
  const values = floating(x);
  const distances = values.sub(reduce("mean", values, axes, true));
  const n = reducedSize(x, axes);
  return reduce("sum", distances.square(), axes, keepdim).div(Math.max(0, n - correction));
}

/** (Σ |x|ᵖ)^(1 / p). */
export function norm(x: Tensor, p: number | "fro", axes: Axes, keepdim?: boolean): Tensor {
  const values = floating(x).abs();
  const over = (kind: "sum" | "min" | "max", y: Tensor) => reduce(kind, y, axes, keepdim);
  if (p === "fro" || p === 2) return over("sum", values.square()).sqrt();
  if (p === 1) return over("sum", values);
  if (p === 0) return over("sum", values.ne(0).to(plainType(values)));
  if (p === Infinity) return over("max", values);
  if (p === -Infinity) return over("min", values);
  if (typeof p !== "number" || Number.isNaN(p)) {
    throw new TypeError(`Cannot take the norm of ${x}: expected a number or "fro", got ${p}`);
  }
  return over("sum", values.pow(p)).pow(1 / p);
}

/** log Σ eˣ, without overflow. */
export function logsumexp(x: Tensor, axes: Axes, keepdim?: boolean): Tensor {
  const values = floating(x);
  if (reducedSize(x, axes) === 0) return reduce("sum", values, axes, keepdim).log();
  const largest = reduce("max", values, axes, true);
  const base = where(largest.isfinite(), largest, 0); // ∞ − ∞ is NaN
  const sum = reduce("sum", values.sub(base).exp(), axes, keepdim);
  return sum.log().add(base.reshape(sum.shape));
}
