/** Counts of a kernel's work. Runs in browsers, too. */
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

/** Counts of all lines together. */
export function totalOf(counts: readonly LineWork[]): LineWork {
  const total = noWork();
  for (const count of counts) for (const kind of WORK_KINDS) total[kind] += count[kind];
  return total;
}

/** Part of all operations, 0 to 1. */
export function operationsShare(count: LineWork, total: LineWork): number {
  return part(count.flops + count.others, total.flops + total.others);
}

/** Part of all bytes of storage buffers, 0 to 1. */
export function memoryShare(count: LineWork, total: LineWork): number {
  return part(count.loaded + count.stored, total.loaded + total.stored);
}

const part = (some: number, all: number) => all ? some / all : 0;
