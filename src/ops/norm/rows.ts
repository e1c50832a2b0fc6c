import layerNorm from "../../../shaders/norm/layer_norm.wgsl" with { type: "text" };
import held from "../../../shaders/norm/lib/row_held.wgsl" with { type: "text" };
import read from "../../../shaders/norm/lib/row_read.wgsl" with { type: "text" };
import softmax from "../../../shaders/norm/softmax.wgsl" with { type: "text" };
import type { DType } from "../../core/dtype.ts";
import type { Traits } from "../../gpu/traits.ts";
import type { Candidate } from "../../graph/node.ts";
import { type Snippet, snippet } from "../../tensor/mod.ts";
import { sizeStep } from "../cost.ts";
import { valuesOf } from "../values.ts";
import { lanesFor } from "./lanes.ts";

const HELD = snippet("norm/lib/row_held", held);
const READ = snippet("norm/lib/row_read", read);
const LAYER_NORM = snippet("norm/layer_norm", layerNorm);
const MOST_HELD = 16; // loads of a lane that stay in registers

/** Kernels of whole rows, each taken by one workgroup. */
const BODIES = {
  layer_norm: LAYER_NORM,
  rms_norm: LAYER_NORM,
  softmax: snippet("norm/softmax", softmax),
} as const;

/** A norm or a softmax of rows, as its kernels take it. */
export interface RowProblem {
  readonly kernel: keyof typeof BODIES;
  readonly dtype: DType;
  readonly count: number;
  readonly columns: number;
  /** Offset of the first row and distances between rows, in elements. */
  readonly places: readonly number[];
  /** Members of the kernel's `struct Params` besides `rows` and `columns`. */
  readonly params: Readonly<Record<string, number>>;
}

/**
 * The kernels that are right for rows on an adapter, the best guess first: rows that fit into registers are
 * read once.
 */
export function selectKernel(
  traits: Traits,
  { kernel, dtype, count, columns, places, params }: RowProblem,
): Candidate[] {
  const values = valuesOf(columns, ...places);
  const loads = Math.ceil(columns / values.width);
  const lanes = lanesFor(traits, loads);
  const steps = Math.max(1, Math.ceil(loads / lanes.count));
  const form = (name: string, row: Snippet, set: Record<string, number>): Candidate => ({
    name,
    code: [values.part, lanes.part, row, BODIES[kernel]],
    set: { X: dtype, WG: lanes.count, ...set },
    params: { rows: count, columns, ...params },
    width: values.width,
    workgroups: count,
  });
  const readAgain = { ...form(`${kernel}_read`, READ, {}), plain: true };
  return steps <= MOST_HELD ? [form(kernel, HELD, { STEPS: steps }), readAgain] : [readAgain];
}

/** A name for rows alike enough to share the candidate that was measured to be the fastest. */
export function shapeClassOf({ dtype, count, columns }: RowProblem): string {
  return [dtype, sizeStep(count), sizeStep(columns)].join("/");
}
