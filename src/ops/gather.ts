import { type Tensor, tensor } from "../tensor/mod.ts";

/** Rows of a table by their numbers, as torch's embedding. table [V, D], ids [..] → [.., D]. */
export function gather(table: Tensor, ids: Tensor | readonly number[]): Tensor {
  const [rows] = table.shape;
  if (table.rank !== 2) throw new RangeError(`Cannot gather from ${table}: expected a table [V, D]`);
  if (!("node" in ids)) {
    const bad = ids.find((id) => !Number.isInteger(id) || id < 0 || id >= rows!);
    if (bad !== undefined) {
      throw new RangeError(`Cannot gather row ${bad} of ${table}: expected 0 to ${rows! - 1}`);
    }
  }
  const index = "node" in ids ? ids : tensor(ids, [ids.length], { dtype: "i32" });
  return table.indexSelect(0, index.reshape([-1])).reshape([...index.shape, table.shape[1]!]);
}
