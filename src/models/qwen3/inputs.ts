import { nameOfKind } from "../../core/error.ts";
import type { HostTable } from "../../io/upload/host_table.ts";
import { type Tensor, tensor } from "../../tensor/mod.ts";
import { expectMask, MASKED, tokenIds } from "../inputs.ts";
import { isSliding, type Qwen3Config, windowOf } from "./config.ts";
import { qwen3Rope } from "./rope.ts";

/** Tensors that a Qwen3 model reads. */
export type Qwen3Inputs = {
  /** Rows of the table of tokens [B, N, D]. */
  tokens: Tensor;
  /** Cosines of the angles of positions [N, head_dim / 2]. */
  cos: Tensor;
  /** Sines of the same. */
  sin: Tensor;
  /** Added to the scores of each key [B, 1, 1, N]; absent where every token counts. */
  mask?: Tensor;
  /** The same for blocks that see the last tokens only [B or 1, 1, N, N]; absent where these are all. */
  slidingMask?: Tensor;
};

/** Checks ids [B, N] and a mask [B, N] of ones and zeros, and gathers the ids' rows on the host. */
export function qwen3Inputs(
  inputIds: readonly (readonly number[])[],
  attentionMask: readonly (readonly number[])[] | undefined,
  table: HostTable,
  config: Qwen3Config,
): Qwen3Inputs {
  const { ids, B, N } = tokenIds(inputIds, config.vocab_size);
  const tokens = tensor(table.rows(ids), [B, N, config.hidden_size]);
  const counts = attentionMask && expectMask(attentionMask, B, N);
  const fillers = counts?.includes(0) ? counts : undefined;
  return { tokens, ...positionsOf(N, config), ...masksOf(fillers, B, N, config) };
}

/** The tables of N tokens' positions. */
export function positionsOf(N: number, config: Qwen3Config): Pick<Qwen3Inputs, "cos" | "sin"> {
  const { cos, sin } = qwen3Rope(N, config);
  const shape = [N, config.head_dim / 2];
  return { cos: tensor(cos, shape), sin: tensor(sin, shape) };
}

/** Numbers to add to scores of keys that count (1) or do not (0), one for each of B · N tokens. */
function masksOf(
  counts: readonly number[] | undefined,
  B: number,
  N: number,
  config: Qwen3Config,
): Pick<Qwen3Inputs, "mask" | "slidingMask"> {
  const mask = counts && tensor(counts.map((count) => count ? 0 : MASKED), [B, 1, 1, N]);
  const window = windowOf(config) ?? N;
  const slides = window < N && Array.from({ length: config.num_hidden_layers }, (_, i) => i)
    .some((i) => isSliding(config, i));
  if (!slides) return mask ? { mask } : {};
  const rows = counts ? B : 1;
  const values = new Float32Array(rows * N * N);
  for (let at = 0; at < values.length; at++) {
    const [row, query, key] = [Math.floor(at / (N * N)), Math.floor(at / N) % N, at % N];
    const isSeen = key > query - window && (counts?.[row * N + key] ?? 1);
    values[at] = isSeen ? 0 : MASKED;
  }
  return { ...(mask ? { mask } : {}), slidingMask: tensor(values, [rows, 1, N, N]) };
}

/**
 * Numbers of hidden states, counted from the end where they are negative, as numbers from 0 (the embeddings) to the
 * number of layers.
 */
export function statesOf(hiddenStates: readonly number[], config: Qwen3Config): number[] {
  const { num_hidden_layers: layers } = config;
  if (!Array.isArray(hiddenStates) || hiddenStates.length === 0) {
    const got = Array.isArray(hiddenStates) ? "none" : nameOfKind(hiddenStates);
    throw new TypeError(`Cannot give hidden states: expected a list of their numbers, got ${got}`);
  }
  return hiddenStates.map((state) => {
    const number = state < 0 ? layers + 1 + state : state;
    if (Number.isInteger(number) && number >= 0 && number <= layers) return number;
    throw new RangeError(
      `Cannot give hidden state ${state}: expected a whole number from ${-layers - 1} to ${layers}, ` +
        `as the model has ${layers} layers`,
    );
  });
}
