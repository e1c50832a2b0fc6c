import { expectOptions } from "../../core/error.ts";
import { contiguousStrides, size } from "../../core/shape.ts";
import { collapse } from "../../graph/fusion/axes.ts";
import { recordChoice, type Tensor } from "../../tensor/mod.ts";
import type { Affine } from "../linear.ts";
import { type RowProblem, selectKernel, shapeClassOf } from "./rows.ts";
import { expectFloat } from "../values.ts";
import { NORM_FLOPS, RMS_FLOPS } from "./flops.ts";

/** Options of `layerNorm` and `rmsNorm`. */
export interface RowNormOptions {
  /** Added to the variance (1e-5 by default), in `rmsNorm` to the mean square (1e-6 by default). */
  eps?: number | undefined;
}

/** y = (x − mean) / √(var + eps) · weight + bias over the last axis (Ba et al. 2016). */
export function layerNorm(x: Tensor, w: Partial<Affine> | null, options: RowNormOptions = {}): Tensor {
  expectOptions("normalise rows", options, ["eps"]);
  let y = normalizeRows(x, { center: true, eps: options.eps ?? 1e-5 });
  if (w?.weight) y = y.mul(w.weight);
  return w?.bias ? y.add(w.bias) : y;
}

/** y = x / √(mean(x²) + eps) · weight over the last axis (Zhang & Sennrich 2019). */
export function rmsNorm(
  x: Tensor,
  w: Partial<Pick<Affine, "weight">> | null,
  options: RowNormOptions = {},
): Tensor {
  expectOptions("normalise rows", options, ["eps"]);
  const y = normalizeRows(x, { center: false, eps: options.eps ?? 1e-6 });
  return w?.weight ? y.mul(w.weight) : y;
}

/**
 * (x − mean) / √(var + eps) over the last axis, or x / √(mean(x²) + eps) where `center` is false. x [.., D].
 * Rows are read where they lie and the result keeps their order, so that heads [B, H, L, D] of [B, L, H · D]
 * are not copied.
 */
function normalizeRows(
  x: Tensor,
  { center, eps }: { center: boolean; eps: number },
): Tensor {
  if (x.size === 0) return x;
  expectFloat(center ? "layer_norm" : "rms_norm", x);
  const last = x.rank - 1;
  const order = x.shape.map((_, axis) => axis).sort((a, b) =>
    a === last ? 1 : b === last ? -1 : x.strides[b]! - x.strides[a]! || a - b
  );
  const y = normalizeInOrder(x.permute(order), center, eps);
  return y.permute(order.map((_, axis) => order.indexOf(axis)));
}

/** x has its leading axes in the order of its memory. */
function normalizeInOrder(x: Tensor, center: boolean, eps: number): Tensor {
  const { rows, outer, inner, period } = findRows(x);
  const columns = x.shape.at(-1)!;
  const count = size(x.shape.slice(0, -1));
  const batches = x.rank > 2 && count > 0 ? x.shape[0]! : 1; // what is fused may differ from one to the next
  const problem: RowProblem = {
    kernel: center ? "layer_norm" : "rms_norm",
    dtype: x.dtype,
    count,
    columns,
    places: [rows.offset, outer, inner],
    params: {
      x_offset: rows.offset,
      period,
      x_outer: outer,
      x_inner: inner,
      y_rows: count / batches,
      center: center ? 1 : 0,
      eps,
    },
  };
  return recordChoice(problem.kernel, {
    candidates: selectKernel(x.device.traits, problem),
    shapeClass: shapeClassOf(problem),
    inputs: [rows],
    shape: x.shape,
    layout: contiguousStrides(x.shape),
    dtype: x.dtype,
    axes: [batches, 1, count / batches, columns],
    flops: (center ? NORM_FLOPS : RMS_FLOPS) * x.size,
  });
}

/**
 * Rows as a kernel finds them:
 * `period` of them lie `inner` apart, and these runs `outer` apart. Else they are copied.
 */
function findRows(x: Tensor): { rows: Tensor; outer: number; inner: number; period: number } {
  const { sizes, strides: [strides] } = collapse(
    x.shape.slice(0, -1),
    [x.strides.slice(0, -1)],
    new Set(),
  );
  if ((x.strides.at(-1) !== 1 && x.shape.at(-1) !== 1) || sizes.length > 2) return findRows(x.contiguous());
  const count = size(sizes);
  if (count === 1) return { rows: x, outer: 0, inner: 0, period: 1 };
  if (sizes.length === 1) return { rows: x, outer: 0, inner: strides![0]!, period: Math.max(1, count) };
  return { rows: x, outer: strides![0]!, inner: strides![1]!, period: Math.max(1, sizes[1]!) };
}
