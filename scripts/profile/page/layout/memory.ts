import type { Profile } from "../../form.ts";
import { namesOf } from "./names.ts";

type Plan = Profile["memory"]["plans"][number];

/**
 * A result in memory: from the dispatch x0 to before x1, and from byte y0 to before y1 of all arenas, one
 * behind the other.
 */
export interface MemoryRect {
  readonly value: Plan["values"][number];
  readonly x0: number;
  readonly x1: number;
  readonly y0: number;
  readonly y1: number;
}

/** A plan's memory over its dispatches. */
export interface MemoryMap {
  readonly rects: readonly MemoryRect[];
  /** First byte of each arena. */
  readonly bases: readonly number[];
  /** Bytes of all arenas. */
  readonly bytes: number;
  /** Number of dispatches. */
  readonly length: number;
  /** Bytes that are needed while each dispatch runs. */
  readonly live: readonly number[];
  /** Modules along the dispatches, by their outermost name. */
  readonly modules: readonly { readonly name: string; readonly x0: number; readonly x1: number }[];
}

/** The map of a plan. */
export function memoryMapOf({ arenas, values }: Plan): MemoryMap {
  const bases = arenas.map((_, i) => arenas.slice(0, i).reduce((sum, bytes) => sum + bytes, 0));
  const length = Math.max(0, ...values.map(({ first }) => first + 1));
  const live: number[] = new Array(length).fill(0);
  const rects = values.map((value): MemoryRect => {
    const end = Math.min(value.last + 1, length);
    for (let i = value.first; i < end; i++) live[i]! += value.bytes;
    const y0 = bases[value.arena]! + value.offset;
    return { value, x0: value.first, x1: Math.max(end, value.first + 1), y0, y1: y0 + value.bytes };
  });
  const modules: { name: string; x0: number; x1: number }[] = [];
  for (const { path, first } of values.toSorted((a, b) => a.first - b.first)) {
    const name = namesOf(path)[0]!;
    const last = modules.at(-1);
    if (last?.name === name) last.x1 = first + 1;
    else modules.push({ name, x0: first, x1: first + 1 });
  }
  return { rects, bases, bytes: arenas.reduce((sum, bytes) => sum + bytes, 0), length, live, modules };
}

/** Weights and the most activations of modules down to some depth, the largest first. */
export function moduleMemory(
  { modules }: Plan,
  depth: number,
): { path: string; weights: number; peak: number }[] {
  const groups = Map.groupBy(modules, ({ path }) => namesOf(path).slice(0, depth).join(".") || "(whole)");
  return [...groups].map(([path, list]) => ({
    path,
    weights: list.reduce((sum, { weights }) => sum + weights, 0),
    peak: Math.max(...list.map(({ peak }) => peak)),
  })).sort((a, b) => b.weights + b.peak - a.weights - a.peak);
}
