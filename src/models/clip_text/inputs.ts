import type { HostTable } from "../../io/upload/host_table.ts";
import { type Tensor, tensor } from "../../tensor/mod.ts";
import type { CLIPTextConfig } from "./config.ts";
import { tokenIds } from "../inputs.ts";

/** Tensors that a CLIP text model reads. */
export type CLIPTextInputs = {
  /** Rows of the table of tokens [B, N, D]. */
  tokens: Tensor;
  /** Number of the state, of all B · N, that stands for each text [B]. */
  pooled: Tensor;
};

/** Checks ids [B, N], and gathers their rows on the host. */
export function clipTextInputs(
  inputIds: readonly (readonly number[])[],
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
  return {
    tokens: tensor(table.rows(ids), [B, N, config.hidden_size]),
    pooled: tensor(last, [B], { dtype: "i32" }),
  };
}

/** Position of the token whose state stands for the text, as transformers finds it. */
function endOf(row: readonly number[], { eos_token_id }: CLIPTextConfig): number {
  const end = eos_token_id === 2
    ? row.indexOf(row.reduce((a, b) => Math.max(a, b)))
    : row.indexOf(eos_token_id);
  return Math.max(0, end);
}
