import lanesAny from "../../../shaders/lib/lanes_any.wgsl" with { type: "text" };
import lanesSubgroup from "../../../shaders/lib/lanes_subgroup.wgsl" with { type: "text" };
import lanesSubgroups from "../../../shaders/lib/lanes_subgroups.wgsl" with { type: "text" };
import type { Traits } from "../../gpu/traits.ts";
import { GRID, type Snippet, snippet, WORKGROUP_MAIN } from "../../tensor/mod.ts";

const ANY = snippet("lib/lanes_any", lanesAny, [WORKGROUP_MAIN]);
const ONE = snippet("lib/lanes_subgroup", lanesSubgroup, [WORKGROUP_MAIN]);
const SEVERAL = snippet("lib/lanes_subgroups", lanesSubgroups, [GRID]);

/** Lanes that reduce together, a workgroup of them. */
export interface Lanes {
  /**
   * Snippet with their reductions, `workgroup_sums` and `workgroup_max`, and the entry that calls the
   * kernel's `run`.
   */
  readonly part: Snippet;
  /** Number of lanes, `WG`. */
  readonly count: number;
}

/**
 * Loads of a lane up to which one subgroup takes a row by itself: all are under way at once, and nothing
 * waits at a barrier.
 */
const ONE_SUBGROUP = 12;
const EACH = 4; // loads of a lane where several subgroups share them
const MOST = 256; // lanes of a workgroup of which a processor runs several

/** The lanes for values that take so many loads. */
export function lanesFor(traits: Traits, loads: number): Lanes {
  const { software, lanes, subgroups, invocations } = traits;
  if (software) { // one subgroup: a barrier costs more than it gains. Mesa's can say 32 lanes where it runs 16
    return lanes === 8 || lanes === 16 ? { part: ONE, count: lanes } : { part: ANY, count: 8 };
  }
  const least = subgroups?.min ?? 32;
  if (subgroups && loads <= ONE_SUBGROUP * least) return { part: ONE, count: least };
  const count = Math.max(32, 2 ** Math.ceil(Math.log2(Math.max(1, loads / EACH))));
  return { part: subgroups ? SEVERAL : ANY, count: Math.min(count, MOST, invocations) };
}

/** The lanes that a workgroup of a GPU can have for values that stay in its registers, the fewest first. */
export function choicesOfLanes(traits: Traits): Lanes[] {
  return [64, 128, 256, 512, 1024].filter((count) => count <= traits.invocations)
    .map((count) => ({ part: traits.subgroups ? SEVERAL : ANY, count }));
}
