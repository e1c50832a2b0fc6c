/** What a kernel does, counted. */
export interface LineWork {
  /** Operations on numbers with a fraction: one a component, two of a fused multiply-add. */
  flops: number;
  /** Others: of whole numbers and conditions, comparisons, conversions. */
  others: number;
  /** Bytes of storage buffers. */
  loaded: number;
  stored: number;
  /** Bytes of workgroup memory, loaded and stored. */
  shared: number;
  barriers: number;
  /** Calls of functions between the lanes of a subgroup, and of matrix units. */
  subgroups: number;
}

/** The kinds of work. */
export const WORK_KINDS = ["flops", "others", "loaded", "stored", "shared", "barriers", "subgroups"] as const;

/** Nothing yet. */
export function noWork(): LineWork {
  return { flops: 0, others: 0, loaded: 0, stored: 0, shared: 0, barriers: 0, subgroups: 0 };
}
