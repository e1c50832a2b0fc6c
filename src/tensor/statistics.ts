import { isFloat } from "../core/dtype.ts";
import { size } from "../core/shape.ts";
import { full } from "./create.ts";
import { where } from "./pointwise.ts";
import { reduce, reducedAxes } from "./reduce.ts";
import type { Tensor } from "./tensor.ts";
import { plainType } from "./tensor_base.ts";

// Reductions that are made of others; the methods of tensors say what they do.

/** Axes of a reduction; all where there are none given. */
export type Axes = number | readonly number[] | undefined;

/** Elements that one result is made of. */
function reducedSize(x: Tensor, axes: Axes): number {
  return size(reducedAxes(x, axes).map((axis) => x.shape[axis]!));
}

/** Computes in f32 and rounds the result to x's type where that is a float: squares and exponentials exceed f16. */
function inF32(x: Tensor, compute: (values: Tensor) => Tensor): Tensor {
  const dtype = plainType(x);
  return compute(x.to("f32")).to(isFloat(dtype) ? dtype : "f32");
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
export function variance(x: Tensor, axes: Axes, correction?: number, keepdim?: boolean): Tensor {
  return inF32(x, (values) => varianceF32(values, axes, correction, keepdim));
}

/** The square root of the variance. */
export function deviation(x: Tensor, axes: Axes, correction?: number, keepdim?: boolean): Tensor {
  return inF32(x, (values) => varianceF32(values, axes, correction, keepdim).sqrt());
}

function varianceF32(values: Tensor, axes: Axes, correction = 1, keepdim?: boolean): Tensor {
  const distances = values.sub(reduce("mean", values, axes, true));
  const n = reducedSize(values, axes);
  return reduce("sum", distances.square(), axes, keepdim).div(Math.max(0, n - correction));
}

/** (Σ |x|ᵖ)^(1 / p). */
export function norm(x: Tensor, p: number | "fro", axes: Axes, keepdim?: boolean): Tensor {
  if (p !== "fro" && (typeof p !== "number" || Number.isNaN(p))) {
    throw new TypeError(`Cannot take the norm of ${x}: expected a number or "fro", got ${p}`);
  }
  return inF32(x, (signed) => {
    const values = signed.abs();
    const over = (kind: "sum" | "min" | "max", y: Tensor) => reduce(kind, y, axes, keepdim);
    if (p === "fro" || p === 2) return over("sum", values.square()).sqrt();
    if (p === 1) return over("sum", values);
    if (p === 0) return over("sum", values.ne(0).to("f32"));
    if (p === Infinity) return over("max", values);
    if (p === -Infinity) return over("min", values);
    return over("sum", values.pow(p)).pow(1 / p);
  });
}

/** log Σ eˣ, without overflow. */
export function logsumexp(x: Tensor, axes: Axes, keepdim?: boolean): Tensor {
  return inF32(x, (values) => {
    if (reducedSize(x, axes) === 0) return reduce("sum", values, axes, keepdim).log();
    const base = finiteMax(values, axes);
    const sum = reduce("sum", values.sub(base).exp(), axes, keepdim);
    return sum.log().add(base.reshape(sum.shape));
  });
}

/** x − max − log Σ e^(x − max): the maximum is taken off first, as beside a large one the logarithm would be lost. */
export function logSoftmax(x: Tensor, axis: number): Tensor {
  return inF32(x, (values) => {
    if (reducedSize(x, axis) === 0) return values;
    const below = values.sub(finiteMax(values, axis));
    return below.sub(reduce("sum", below.exp(), axis, true).log());
  });
}

/** The largest element, 0 where that is not finite, as ∞ − ∞ is NaN. Reduced axes stay. */
function finiteMax(values: Tensor, axes: Axes): Tensor {
  const largest = reduce("max", values, axes, true);
  return where(largest.isfinite(), largest, 0);
}
