import code from "../../shaders/scan.wgsl" with { type: "text" };
import { type PlainDType, valueType } from "../core/dtype.ts";
import { contiguousStrides } from "../core/shape.ts";
import { WORKGROUP_MAIN } from "../gpu/shader/grid.ts";
import { snippet } from "../gpu/shader/snippet.ts";
import { full } from "./create.ts";
import { cat } from "./join.ts";
import { recordKernel } from "./record.ts";
import { rowsAlong } from "./rows.ts";
import type { Tensor } from "./tensor.ts";
import { plainType } from "./tensor_base.ts";

const SCAN = snippet("scan", code, [WORKGROUP_MAIN]);

/** Running sums or products along an axis; those of bools count in i32, those of f16 are rounded at the end. */
export function scan(kind: "sum" | "product", x: Tensor, axis: number): Tensor {
  const dtype = plainType(x);
  const taken: PlainDType = dtype === "bool" ? "i32" : dtype === "f16" ? "f32" : dtype;
  const { rows, back } = rowsAlong(x.cast(taken), axis);
  return back(scanRows(kind, rows)).cast(dtype === "bool" ? "i32" : dtype);
}

const WG = 64; // of scan.wgsl
const MOST = 16; // columns that an invocation takes

/**
 * Scans blocks, then adds to each (or multiplies by) the scan of the last values of the blocks in front of
 * it. x [R, N] → [R, N].
 */
function scanRows(kind: "sum" | "product", x: Tensor): Tensor {
  const [rows, columns] = [x.shape[0]!, x.shape[1]!];
  const run = Math.min(MOST, Math.max(1, Math.ceil(columns / WG)));
  const block = WG * run;
  const blocks = Math.max(1, Math.ceil(columns / block));
  const width = blocks === 1 ? columns : blocks * block;
  const y = recordKernel("scan", {
    inputs: [x],
    shape: [rows, width],
    layout: contiguousStrides([rows, width]),
    dtype: x.dtype,
    code: [SCAN],
    set: { X: x.dtype, T: valueType(plainType(x)) },
    params: { rows, columns, blocks, run, product: kind === "product" ? 1 : 0 },
    axes: [1, 1, rows, width],
    width: 1,
    workgroups: rows * blocks,
    flops: rows * columns,
  });
  if (blocks === 1) return y;
  const parts = y.reshape([rows, blocks, block]);
  const totals = scanRows(kind, parts.slice(1, 0, -1).slice(2, -1).reshape([rows, blocks - 1]).contiguous());
  const nothing = full([rows, 1], kind === "product" ? 1 : 0, { dtype: plainType(x) });
  const before = cat([nothing, totals], 1).unsqueeze(2);
  const whole = kind === "product" ? parts.mul(before) : parts.add(before);
  return whole.reshape([rows, width]).slice(1, 0, columns);
}
