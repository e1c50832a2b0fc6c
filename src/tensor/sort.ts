import blocksCode from "../../shaders/sort_blocks.wgsl" with { type: "text" };
import mergeCode from "../../shaders/sort_merge.wgsl" with { type: "text" };
import { contiguousStrides } from "../core/shape.ts";
import { ELEMENT_MAIN, WORKGROUP_MAIN } from "../gpu/shader/grid.ts";
import { snippet } from "../gpu/shader/snippet.ts";
import { recordKernel } from "./record.ts";
import { rowsAlong, SORT_KEY, sortKeyOf } from "./rows.ts";
import type { Tensor } from "./tensor.ts";

const BLOCKS = snippet("sort_blocks", blocksCode, [WORKGROUP_MAIN, SORT_KEY]);

const MERGE = snippet("sort_merge", mergeCode, [ELEMENT_MAIN, SORT_KEY]);

/** Elements and where they were along the axis. */
export interface Selected {
  /** In their new order. */
  readonly values: Tensor;
  /** In i32, where torch has 64 bits. */
  readonly indices: Tensor;
}

/** The elements along an axis in order, the first `count` of them; equal ones keep their order. */
export function sorted(x: Tensor, axis: number, descending: boolean, count?: number): Selected {
  const { rows, back } = rowsAlong(x, axis);
  const order = orderOf(rows, descending).slice(1, 0, count);
  return { values: back(rows.gather(1, order)), indices: back(order) };
}

/** Indices of the elements along an axis in sorted order: `x.gather(axis, indices)` is sorted. */
export function sortedIndices(x: Tensor, axis: number, descending: boolean): Tensor {
  const { rows, back } = rowsAlong(x, axis);
  return back(orderOf(rows, descending));
}

const SMALL = { BLOCK: 32, WG: 16 };
const LARGE = { BLOCK: 512, WG: 256 };
const STEP = 8; // of sort_merge.wgsl

/** The columns of each row in the order of their values: blocks first, then merged in passes. x [R, N] → [R, N]. */
function orderOf(x: Tensor, descending: boolean): Tensor {
  const [rows, columns] = [x.shape[0]!, x.shape[1]!];
  const block = columns <= SMALL.BLOCK ? SMALL : LARGE;
  const common = {
    shape: x.shape,
    layout: contiguousStrides(x.shape),
    dtype: "i32",
    axes: [1, 1, rows, columns],
    width: 1,
  } as const;
  const flip = descending ? 0xffffffff : 0;
  let order = recordKernel("sort_blocks", {
    ...common,
    inputs: [x],
    code: [BLOCKS],
    set: { ...sortKeyOf(x), ...block },
    params: { rows, columns, flip },
    workgroups: rows * Math.ceil(columns / block.BLOCK),
  });
  for (let run = block.BLOCK; run < columns; run *= 2) {
    order = recordKernel("sort_merge", {
      ...common,
      inputs: [x, order],
      code: [MERGE],
      set: sortKeyOf(x),
      params: { rows, columns, run, flip },
      workgroups: Math.ceil(rows * Math.ceil(columns / STEP) / 64),
    });
  }
  return order;
}
