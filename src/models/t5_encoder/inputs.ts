import type { HostTable } from "../../io/upload/host_table.ts";
import { positionBuckets } from "./position_bias.ts";
import { type Tensor, tensor } from "../../tensor/mod.ts";
import type { T5EncoderConfig } from "./config.ts";
import { tokenIds } from "../token_ids.ts";

/** What a T5 encoder reads. */
export type T5EncoderInputs = {
  /** Rows of the table of tokens [B, N, D]. */
  tokens: Tensor;
  /** The bucket that the distance of each pair of tokens falls into [N · N]. */
  buckets: Tensor;
  /** Added to the scores of each key [B, 1, 1, N]; absent where every token counts. */
  mask?: Tensor;
};

const UNSEEN = -3.4028234663852886e38; // the lowest f32, as in transformers: a row of nothing else stays finite

/** Checks ids [B, N] and a mask [B, N] of ones and zeros, and picks the ids' rows on the host. */
export function t5EncoderInputs(
  inputIds: readonly (readonly number[])[],
  attentionMask: readonly (readonly number[])[] | undefined,
  table: HostTable,
  config: T5EncoderConfig,
): T5EncoderInputs {
  const { ids, B, N } = tokenIds(inputIds, config.vocab_size);
  const inputs: T5EncoderInputs = {
    tokens: tensor(table.rows(ids), [B, N, config.d_model]),
    buckets: bucketsOf(N, config),
  };
  const mask = attentionMask && maskOf(attentionMask, B, N);
  return mask ? { ...inputs, mask } : inputs;
}

/** The buckets of every pair of N tokens. [N · N] */
export function bucketsOf(N: number, config: T5EncoderConfig): Tensor {
  return tensor(positionBuckets(N, {
    buckets: config.relative_attention_num_buckets,
    maxDistance: config.relative_attention_max_distance,
  }));
}

function maskOf(rows: readonly (readonly number[])[], B: number, N: number): Tensor | undefined {
  const fits = rows.length === B && rows.every((row) => row.length === N);
  const wrong = rows.flat().find((value) => value !== 0 && value !== 1);
  if (!fits || wrong !== undefined) {
    const got = fits ? `${wrong}` : `${rows.length} rows of ${rows[0]?.length ?? 0}`;
    throw new RangeError(`Cannot mask texts: expected ${B} rows of ${N} ones and zeros, got ${got}`);
  }
  if (rows.every((row) => row.every((value) => value === 1))) return undefined;
  return tensor(rows.flatMap((row) => row.map((value) => value ? 0 : UNSEEN)), [B, 1, 1, N]);
}
