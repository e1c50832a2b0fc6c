import { cat, type Tensor } from "../../tensor/mod.ts";
import type { CLIPTokenizer } from "../../tokenizers/mod.ts";
import { parseA1111, type WeightedText } from "./a1111.ts";
import { type Chunk, chunkLength, pick, type Planner, rowOf, weightsOf } from "./rows.ts";

const BACKTRACK = 20; // tokens at the end of a chunk among which a comma is looked for

/**
 * A1111's weights: the states of a chunk's tokens times their weights, then all times one factor, so that their mean is as
 * before.
 */
export const planA1111: Planner = (prompt, tokenizer, rows) => {
  const chunks = chunksOf(parseA1111(prompt), tokenizer).map((chunk) => rowOf(chunk, tokenizer));
  const numbers = chunks.map(({ ids }) => rows.add(ids));
  const weights = weightsOf(chunks);
  return {
    pooled: numbers[0]!,
    chunks: chunks.length,
    states(all, count) {
      const plain = pick(all, numbers);
      const mean = (x: Tensor) => x.mean([1, 2], { keepdim: true }); // of each chunk
      const weighted = weights && plain.mul(weights);
      return lengthened(weighted ? weighted.mul(mean(plain).div(mean(weighted))) : plain, count);
    },
  };
};

/** States whose last one is repeated, as A1111 draws prompts of several lengths at once. */
function lengthened(states: Tensor, chunks: number): Tensor {
  const [R, L, D] = states.shape as [number, number, number];
  if (R === chunks) return states;
  const last = states.slice(0, R - 1).slice(1, L - 1); // [1, 1, D]
  return cat([states, last.expand([chunks - R, L, D])]);
}

/**
 * Tokens in chunks: where one is full and a comma is among its last 20, what stands behind that goes to the next. What a
 * token of a textual inversion stands for stays together.
 */
export function chunksOf(pieces: readonly WeightedText[], tokenizer: CLIPTokenizer): Chunk[] {
  const length = chunkLength(tokenizer);
  const chunks: Chunk[] = [];
  let chunk: Chunk = { ids: [], weights: [] };
  let behindComma = 0; // tokens of the chunk up to its last comma
  const next = (kept = chunk.ids.length) => {
    const rest = { ids: chunk.ids.splice(kept), weights: chunk.weights.splice(kept) };
    chunks.push(chunk);
    [chunk, behindComma] = [rest, 0];
  };
  for (const piece of pieces) {
    if (piece === "BREAK") {
      next();
      continue;
    }
    for (const ids of tokenizer.pieces(piece.text)) {
      const isFull = chunk.ids.length === length;
      if (isComma(ids, tokenizer)) behindComma = chunk.ids.length + 1;
      else if (isFull && behindComma > 0 && length - behindComma < BACKTRACK) next(behindComma);
      if (chunk.ids.length + ids.length > length) next();
      for (const id of ids) {
        if (chunk.ids.length === length) next();
        chunk.ids.push(id);
        chunk.weights.push(piece.weight);
      }
    }
  }
  if (chunk.ids.length > 0 || chunks.length === 0) next();
  return chunks;
}

function isComma(ids: readonly number[], tokenizer: CLIPTokenizer): boolean {
  return ids.length === 1 && tokenizer.convertIdsToTokens(ids)[0] === ",</w>";
}
