import sortKey from "../../shaders/lib/sort_key.wgsl" with { type: "text" };
import { isFloat, storedType } from "../core/dtype.ts";
import { axisIndex, size } from "../core/shape.ts";
import { type Snippet, snippet } from "../gpu/shader/snippet.ts";
import type { Tensor } from "./tensor.ts";
import { plainType, type TensorBase } from "./tensor_base.ts";

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
  const moved = x.permute(last);
  const outer = moved.shape.slice(0, -1);
  return {
    rows: moved.contiguous().reshape([size(outer), x.shape[at]!]),
    back: (rows) => rows.reshape([...outer, rows.shape[1]!]).permute(first),
  };
}

/** `key_at`: elements of x as unsigned keys of their order; takes what `sortKeyOf` sets. */
export const SORT_KEY: Snippet = snippet("lib/sort_key", sortKey);

/** The settings of lib/sort_key.wgsl for x. */
export function sortKeyOf(x: TensorBase): Record<string, string | number> {
  const dtype = plainType(x);
  return {
    X: storedType(dtype),
    T: storedType(dtype === "f16" ? "f32" : dtype),
    FLOAT: `${isFloat(dtype)}`,
    SIGN: dtype === "i32" ? 0x80000000 : 0,
  };
}
