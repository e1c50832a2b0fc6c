import type { HostTable } from "../../io/upload/host_table.ts";
import { type Tensor, tensor } from "../../tensor/mod.ts";
import type { CLIPTextConfig } from "./config.ts";
import { expectMask, MASKED, tokenIds } from "../inputs.ts";

/** Tensors that a CLIP text model reads. */
export type CLIPTextInputs = {
  /** Rows of the table of tokens [B, N, D]. */
  tokens: Tensor;
  /** Number of the state, of all B · N, that stands for each text [B]. */
  pooled: Tensor;
  /** Added to the scores of each key [B, 1, 1, N]; absent where every token counts. */
  mask?: Tensor;
};

/** Checks ids [B, N] and a mask [B, N] of ones and zeros, and gathers the ids' rows on the host. */
export function clipTextInputs(
  inputIds: readonly (readonly number[])[],
  attentionMask: readonly (readonly number[])[] | undefined,
  table: HostTable,
  config: CLIPTextConfig,
): CLIPTextInputs {
  const { ids, B, N } = tokenIds(inputIds, config.vocab_size, (id) => table.has(id));
  if (N > config.max_position_embeddings) {
    throw new RangeError(
      `Cannot encode ${N} tokens: expected at most ${config.max_position_embeddings}; truncate the rows`,
    );
  }
  const last = inputIds.map((row, b) => b * N + endOf(row, config));
  const counts = attentionMask && expectMask(attentionMask, B, N);
  const mask = counts?.includes(0) && tensor(counts.map((count) => count ? 0 : MASKED), [B, 1, 1, N]);
  return {
    tokens: tensor(table.rows(ids), [B, N, config.hidden_size]),
    pooled: tensor(last, [B], { dtype: "i32" }),
    ...mask && { mask },
  };
}

/** Position of the token whose state stands for the text, as transformers finds it. */
function endOf(row: readonly number[], { eos_token_id }: CLIPTextConfig): number {
  const end = eos_token_id === 2
    ? row.indexOf(row.reduce((a, b) => Math.max(a, b)))
    : row.indexOf(eos_token_id);
  return Math.max(0, end);
}
