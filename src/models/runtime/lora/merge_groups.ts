import type { Checkpoint } from "../../../io/formats/checkpoint.ts";
import type { ChangePlacement } from "../../../io/lora/match.ts";

/** A change of weights as strong as it is to be, and the file that it is read from. */
export interface Applied {
  /** By which changes of one adapter are told from those of others. */
  readonly placement: ChangePlacement;
  /** Not 0. */
  readonly scale: number;
  readonly open: () => Promise<Checkpoint>;
}

/** Weights that changes connect, as one of them is for several, and all these changes in their order. */
export interface Group {
  readonly keys: readonly string[];
  readonly applied: readonly Applied[];
}

const BATCH = 64 << 20; // bytes of weights in f32 that are changed at once

/** The keys of the weights that a change is for. */
export function keysOf({ placement: { change, layers } }: Applied): string[] {
  return layers.map(({ layer }) => `${layer}.${change.target}`);
}

/** True if two lists of changes make the same of a weight. */
export function isSame(a: readonly Applied[], b: readonly Applied[]): boolean {
  return a.length === b.length &&
    a.every(({ placement, scale }, i) => placement === b[i]!.placement && scale === b[i]!.scale);
}

/** Weights that are stale, in groups with all that changes connect them with. */
export function groupsOf(
  stale: readonly string[],
  wanted: ReadonlyMap<string, readonly Applied[]>,
  order: readonly Applied[],
): Group[] {
  const seen = new Set<string>();
  return stale.filter((key) => !seen.has(key)).flatMap((start) => {
    if (seen.has(start)) return [];
    seen.add(start);
    const keys = [start];
    const own = new Set<Applied>();
    for (const key of keys) { // grows
      for (const one of wanted.get(key) ?? []) {
        own.add(one);
        for (const next of keysOf(one)) {
          if (seen.has(next)) continue;
          seen.add(next);
          keys.push(next);
        }
      }
    }
    return [{ keys, applied: order.filter((one) => own.has(one)) }];
  });
}

/** Groups one after the other until their weights take BATCH bytes. */
export function* batches(groups: readonly Group[], bytesOf: (key: string) => number): Generator<Group[]> {
  let batch: Group[] = [];
  let bytes = 0;
  for (const group of groups) {
    const more = group.keys.reduce((sum, key) => sum + bytesOf(key), 0);
    if (batch.length > 0 && bytes + more > BATCH) {
      yield batch;
      [batch, bytes] = [[], 0];
    }
    batch.push(group);
    bytes += more;
  }
  if (batch.length > 0) yield batch;
}
