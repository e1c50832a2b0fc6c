import type { CLIPTokenizer } from "../../tokenizers/mod.ts";
import { cat, type Tensor, tensor } from "../../tensor/mod.ts";
import type { TextEmbeddings } from "../prompts.ts";

/** A text encoder and its tokenizer, as weights of words see them. */
export interface RowEncoder {
  readonly tokenizer: CLIPTokenizer;
  /** Embeds rows of ids [R, L]; tokens with a 0 in the mask [R, L] are seen by no others. */
  readonly read: (inputIds: number[][], attentionMask?: number[][]) => TextEmbeddings;
}

const MOST = 512; // rows: a chunk takes one, in compel's syntax one more for each weight under 1
const AT_ONCE = 32; // rows that an encoder reads together, as much of them as adapters bind as one tensor

/** Rows of ids of one length, each once, which an encoder reads together. */
export class Rows {
  readonly #rows: { readonly ids: number[]; readonly mask: number[] | undefined }[] = [];
  readonly #numbers = new Map<string, number>();

  /** The number of a row, which may have a mask, among those that are read. */
  add(ids: number[], mask?: number[]): number {
    const key = `${ids}|${mask ?? ""}`;
    const number = this.#numbers.get(key) ?? this.#rows.push({ ids, mask }) - 1;
    this.#numbers.set(key, number);
    return number;
  }

  /** Embeds all rows. states [R, L, D], pooled [R, P] */
  read({ read }: RowEncoder): TextEmbeddings {
    if (this.#rows.length > MOST) {
      throw new RangeError(
        `Cannot embed prompts that take ${this.#rows.length} rows of tokens: expected at most ${MOST}; shorten them, or ` +
          "give fewer words weights under 1",
      );
    }
    const parts: TextEmbeddings[] = [];
    for (let from = 0; from < this.#rows.length; from += AT_ONCE) {
      const rows = this.#rows.slice(from, from + AT_ONCE);
      const ids = rows.map((row) => row.ids);
      const isMasked = rows.some(({ mask }) => mask);
      parts.push(isMasked ? read(ids, rows.map(({ ids, mask }) => mask ?? ids.map(() => 1))) : read(ids));
    }
    const pooled = parts.flatMap((part) => part.pooled ?? []);
    return {
      states: cat(parts.map(({ states }) => states)),
      pooled: pooled.length > 0 ? cat(pooled) : undefined,
    };
  }
}

/** Reads a prompt in some syntax, and adds the rows that an encoder is to embed for it. */
export type Planner = (prompt: string, tokenizer: CLIPTokenizer, rows: Rows) => PlannedPrompt;

/** A prompt whose rows wait to be embedded. */
export interface PlannedPrompt {
  /** The row whose embedding stands for the whole text. */
  readonly pooled: number;
  /** Chunks of tokens that it takes. */
  readonly chunks: number;
  /** Its states, of those of all rows, filled up to as many chunks as others of its batch have. → [chunks, L, D] */
  states(all: Tensor, chunks: number): Tensor;
}

/** Some rows by their numbers. x [R, …] → [rows, …] */
export function pick(x: Tensor, rows: readonly number[]): Tensor {
  return x.indexSelect(0, tensor(rows, [rows.length], { dtype: "i32" }));
}

/** Tokens that a model reads at once, each with its weight. */
export interface Chunk {
  readonly ids: number[];
  readonly weights: number[];
}

/** A chunk as a row of what the model reads: with the tokens around every text and those that fill it up, which weigh 1. */
export function rowOf({ ids, weights }: Chunk, tokenizer: CLIPTokenizer): Chunk {
  const row = tokenizer.filledRow(ids);
  return { ids: row, weights: row.map((_, i) => weights[i - 1] ?? 1) };
}

/** Tokens that a chunk holds: all that the model reads but for the first and the last. */
export function chunkLength({ modelMaxLength }: CLIPTokenizer): number {
  return modelMaxLength - 2;
}

/** Weights of chunks, for their states; undefined where all are 1. → [R, L, 1] */
export function weightsOf(chunks: readonly Chunk[]): Tensor | undefined {
  const weights = chunks.flatMap((chunk) => chunk.weights);
  if (weights.every((weight) => weight === 1)) return undefined;
  return tensor(weights, [chunks.length, weights.length / chunks.length, 1]);
}
