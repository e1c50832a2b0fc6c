import type { HostTable } from "../../io/upload/host_table.ts";
import { type Tensor, tensor } from "../../tensor/mod.ts";
import { expectMask, MASKED, tokenIds } from "../inputs.ts";
import type { T5EncoderConfig } from "./config.ts";

/** Tensors that a T5 encoder reads. */
export type T5EncoderInputs = {
  /** Rows of the table of tokens [B, N, D]. */
  tokens: Tensor;
  /** Bucket of the distance of each pair of tokens [N · N]. */
  buckets: Tensor;
  /** Added to the scores of each key [B, 1, 1, N]; absent where every token counts. */
  mask?: Tensor;
};

/** Checks ids [B, N] and a mask [B, N] of ones and zeros, and gathers the ids' rows on the host. */
export function t5EncoderInputs(
  inputIds: readonly (readonly number[])[],
  attentionMask: readonly (readonly number[])[] | undefined,
  table: HostTable,
  config: T5EncoderConfig,
): T5EncoderInputs {
  const { ids, B, N } = tokenIds(inputIds, config.vocab_size);
  const tokens = tensor(table.rows(ids), [B, N, config.d_model]);
  const mask = attentionMask && maskOf(attentionMask, B, N);
  return { tokens, buckets: bucketsOf(N, config), ...(mask ? { mask } : {}) };
}

/** The buckets of every pair of N tokens. [N · N] */
export function bucketsOf(N: number, config: T5EncoderConfig): Tensor {
  return tensor(positionBuckets(N, {
    buckets: config.relative_attention_num_buckets,
    maxDistance: config.relative_attention_max_distance,
  }));
}

const f = Math.fround;

/**
 * The bucket of the distance of each pair of N tokens: half of the buckets are for keys behind the query; near
 * distances have one each, far ones share them in steps of equal ratio, up to `maxDistance` (Raffel et al. 2020,
 * section 2.1). In torch's f32 arithmetic, which decides at the borders. [N · N], queries outside.
 */
export function positionBuckets(
  N: number,
  { buckets, maxDistance }: { buckets: number; maxDistance: number },
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

function maskOf(rows: readonly (readonly number[])[], B: number, N: number): Tensor | undefined {
  const values = expectMask(rows, B, N);
  return values.includes(0) ? tensor(values.map((value) => value ? 0 : MASKED), [B, 1, 1, N]) : undefined;
}
