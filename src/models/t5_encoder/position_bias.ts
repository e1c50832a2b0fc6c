import { gather } from "../../ops/mod.ts";
import type { Tensor } from "../../tensor/mod.ts";
import { expectShape, type Projection } from "../../nn/layers.ts";

const f = Math.fround;

/** How T5 tells distances between tokens apart. */
export interface PositionBuckets {
  /** Buckets, one half of them for keys behind the query. */
  buckets: number;
  /** Distance from which on all fall into the last bucket. */
  maxDistance: number;
}

/**
 * Which bucket the distance of each pair of N tokens falls into: near distances have one each, far ones share
 * them in steps of equal ratio (Raffel et al. 2020, section 2.1). In torch's f32 arithmetic, which decides at
 * the borders. [N · N], queries outside.
 */
export function positionBuckets(
  N: number,
  { buckets, maxDistance }: PositionBuckets,
): Int32Array<ArrayBuffer> {
  const half = Math.floor(buckets / 2);
  const exact = Math.floor(half / 2);
  const ratio = f(Math.log(maxDistance / exact));
  const bucketOf = (distance: number) => {
    if (distance < exact) return distance;
    const steps = f(f(f(Math.log(f(distance / exact))) / ratio) * (half - exact));
    return Math.min(half - 1, exact + Math.trunc(steps));
  };
  const near = Int32Array.from({ length: N }, (_, distance) => bucketOf(distance));
  const pairs = new Int32Array(N * N);
  for (let query = 0; query < N; query++) {
    for (let key = 0; key < N; key++) {
      pairs[query * N + key] = key > query ? half + near[key - query]! : near[query - key]!;
    }
  }
  return pairs;
}

/**
 * What is added to the scores of each pair of tokens:
 * a value a head of its bucket. ids [N · N] → [1, heads, N, N]
 */
export function positionBias(ids: Tensor, w: Projection, { buckets, heads }: {
  buckets: number;
  heads: number;
}): Tensor {
  expectShape(w.weight, [buckets, heads]);
  const N = Math.sqrt(ids.size);
  return gather(w.weight, ids).reshape([1, N, N, heads]).permute([0, 3, 1, 2]).contiguous();
}
