import type { Shape } from "../core/shape.ts";
import code from "../../shaders/gather.wgsl" with { type: "text" };
import { GRID, recordKernel, type Tensor, tensor } from "../tensor/mod.ts";
import { valuesOf } from "./sources.ts";

/** Rows of a table by their numbers, as torch's embedding. table [V, D], ids [..] → [.., D]. */
export function gather(table: Tensor, ids: Tensor | readonly number[]): Tensor {
  const [rows, width] = table.shape as Shape<2>;
  if (table.rank !== 2) throw new RangeError(`Cannot gather from ${table}: expected a table [V, D]`);
  if (!("node" in ids)) {
    const bad = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= rows);
    if (bad !== undefined) {
      throw new RangeError(`Cannot gather row ${bad} of ${table}: expected 0 to ${rows - 1}`);
    }
  }
  const index = "node" in ids ? ids.contiguous() : tensor(ids, [ids.length], { dtype: "i32" });
  const dense = table.contiguous();
  const values = valuesOf(width);
  const y = recordKernel("gather", {
    inputs: [dense, index],
    shape: [index.size, width],
    dtype: table.dtype,
    code: [GRID, values.part, { name: "shaders/gather.wgsl", text: code }],
    set: { X: table.dtype, Id: index.dtype },
    params: { rows, width, count: index.size },
    axes: [1, 1, index.size, width],
    width: values.width,
    workgroups: Math.ceil(index.size * (width / values.width) / 64),
  });
  return y.reshape([...index.shape, width]);
}
