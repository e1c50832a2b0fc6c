import { axisIndex } from "../../core/shape.ts";
import { recordChoice, type Tensor } from "../../tensor/mod.ts";
import { type RowProblem, selectKernel, shapeClassOf } from "./rows.ts";
import { expectFloat } from "../values.ts";
import { SOFTMAX_FLOPS } from "./flops.ts";

/** eˣ / Σ eˣ along an axis. */
export function softmax(x: Tensor, axis = -1): Tensor {
  const at = axisIndex(axis, x.rank);
  if (at !== x.rank - 1) {
    const order = x.shape.map((_, i) => i === at ? x.rank - 1 : i === x.rank - 1 ? at : i);
    return softmax(x.permute(order)).permute(order);
  }
  return softmaxRows(x);
}

/** Options of `softmaxRows`. */
export interface RowOptions {
  /** Row r of each [rows, columns] matrix sees columns up to r + `shift`. */
  causal?: { shift: number } | undefined;
  /** A row of −∞ alone gives zeros, as attention's probabilities; else NaN, as torch's softmax. */
  unseenZero?: boolean;
}

/** Softmax over the last axis. */
export function softmaxRows(x: Tensor, { causal, unseenZero = false }: RowOptions = {}): Tensor {
  if (x.size === 0) return x;
  expectFloat("softmax", x);
  const columns = x.shape.at(-1)!;
  const dense = x.contiguous().reshape([-1, columns]);
  const rows = dense.shape[0]!;
  const problem: RowProblem = {
    kernel: "softmax",
    dtype: x.dtype,
    count: rows,
    columns,
    places: [],
    params: {
      causal: Number(causal !== undefined),
      period: x.shape.at(-2) ?? 1,
      shift: causal?.shift ?? 0,
      unseen_zero: Number(unseenZero),
    },
  };
  const y = recordChoice("softmax", {
    candidates: selectKernel(x.device.traits, problem),
    shapeClass: shapeClassOf(problem),
    inputs: [dense],
    shape: dense.shape,
    dtype: x.dtype,
    axes: [1, 1, rows, columns],
    flops: SOFTMAX_FLOPS * x.size,
  });
  return y.reshape(x.shape);
}
