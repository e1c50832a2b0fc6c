import { axisIndex, size } from "../core/shape.ts";
import type { Tensor } from "./tensor.ts";

/** A tensor as rows along one of its axes, for kernels that take [R, N]. */
export interface Rows {
  /** [R, N], dense. */
  readonly rows: Tensor;
  /** Rows of any length, [R, M], as a tensor with M in place of N. */
  back(rows: Tensor): Tensor;
}

/** Brings an axis to the end. A tensor without axes is one row of one element, as in torch. */
export function rowsAlong(x: Tensor, axis: number): Rows {
  if (x.rank === 0) {
    axisIndex(axis, 1);
    return { rows: x.reshape([1, 1]).contiguous(), back: (rows) => rows.reshape([]) };
  }
  const at = axisIndex(axis, x.rank);
  const last = [...x.shape.keys()].filter((i) => i !== at).concat(at);
  const first = [...x.shape.keys()].map((i) => last.indexOf(i));
  const turned = x.permute(last);
  const outer = turned.shape.slice(0, -1);
  return {
    rows: turned.contiguous().reshape([size(outer), x.shape[at]!]),
    back: (rows) => rows.reshape([...outer, rows.shape[1]!]).permute(first),
  };
}
