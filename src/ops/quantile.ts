import code from "../../shaders/quantile.wgsl" with { type: "text" };
import { contiguousStrides, type Shape } from "../core/shape.ts";
import { GRID, recordKernel, type Tensor } from "../tensor/mod.ts";
import { valuesOf } from "./sources.ts";

/** The q-quantile of each row, interpolated linearly as torch.quantile. x [R, N] → [R]. */
export function quantile(x: Tensor, q: number): Tensor {
  const [rows, columns] = x.shape as Shape<2>;
  if (x.rank !== 2 || columns === 0 || !(q >= 0 && q <= 1)) {
    throw new RangeError(`Cannot take the ${q}-quantile of ${x}: expected rows [R, N] and q from 0 to 1`);
  }
  const rank = Math.fround(Math.fround(q) * (columns - 1));
  const below = Math.floor(rank);
  return recordKernel("quantile", {
    inputs: [x.contiguous()],
    shape: [rows],
    layout: contiguousStrides([rows]),
    dtype: x.dtype,
    code: [GRID, valuesOf(1).part, { name: "shaders/quantile.wgsl", text: code }],
    set: { X: x.dtype },
    params: { rows, columns, below, weight: rank - below },
    axes: [1, 1, 1, rows],
    width: 1,
    workgroups: rows,
  });
}
