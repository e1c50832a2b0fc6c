import type { StoredTensor } from "../formats/stored_tensor.ts";
import type { Stored } from "../names/keys.ts";
import type { SingleFile } from "./file.ts";

/** The keys of a file that are of none of its parts, such as EMA weights and what training left. */
export async function keysNotUsed({ open, parts }: SingleFile): Promise<string[]> {
  let unused: string[] = [];
  using _checkpoint = await open((tensors) => {
    unused = outside(tensors, [...parts.values()].flatMap(({ view }) => [...view(tensors).values()]));
    return new Map(tensors);
  });
  return unused;
}

/** Keys whose bytes no view begins in. */
function outside(tensors: Stored, views: readonly StoredTensor[]): string[] {
  const starts = views.flatMap(({ places }) => places.map(({ offset }) => offset)).sort((a, b) => a - b);
  return [...tensors.values()].filter(({ bytes, places: [first] }) => {
    const { offset } = first!;
    const next = starts[lowerBound(starts, offset)];
    return next === undefined || next >= offset + Math.max(bytes, 1);
  }).map(({ name }) => name);
}

/** Where the first number stands that is not below `value`. */
function lowerBound(sorted: readonly number[], value: number): number {
  let [low, high] = [0, sorted.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
