import { cat, type Tensor, type Term, weightedSum } from "../../tensor/mod.ts";
import type { CLIPTokenizer } from "../../tokenizers/mod.ts";
import { type Blend, type CompelPart, type Fragment, parseCompel } from "./compel.ts";
import { chunkLength, pick, type Planner, rowOf, type Rows, weightsOf } from "./rows.ts";

/** A part of a prompt: the number of its chunks, and their states of those of all rows. → [chunks, L, D] */
interface PlannedPart {
  readonly chunks: number;
  states(all: Tensor): Tensor;
}

/**
 * compel's weights: states of tokens move away from those of an empty prompt by their weight. Towards words that weigh
 * less than 1 the prompt is also averaged with itself where no token sees them.
 */
export const planCompel: Planner = (prompt, tokenizer, rows) => {
  const { parts, weights } = parseCompel(prompt);
  const empty = rows.add(tokenizer.filledRow([]));
  const planned = parts.map((part) => planPart(part, tokenizer, rows, empty));
  const typed = tokenizer.pieces(prompt).flat().slice(0, chunkLength(tokenizer));
  return {
    pooled: rows.add(tokenizer.filledRow(typed)), // compel embeds whole texts as they are typed, signs included
    chunks: planned.reduce((sum, { chunks }) => sum + chunks, 0),
    states(all, count) {
      const none = pick(all, [empty]);
      const states = planned.map((part, i) => {
        const x = part.states(all);
        return weights[i] === 1 ? x : none.add(x.sub(none).mul(weights[i]!));
      });
      return lengthened(cat(states), count, none);
    },
  };
};

/** States with those of an empty prompt behind them. */
function lengthened(states: Tensor, chunks: number, empty: Tensor): Tensor {
  const [R, L, D] = states.shape as [number, number, number];
  return R === chunks ? states : cat([states, empty.expand([chunks - R, L, D])]);
}

function planPart(part: CompelPart, tokenizer: CLIPTokenizer, rows: Rows, empty: number): PlannedPart {
  if (!isBlend(part)) return planFragments(part, tokenizer, rows, empty);
  const planned = part.prompts.map((prompt) => planFragments(prompt, tokenizer, rows, empty));
  const chunks = Math.max(...planned.map((each) => each.chunks));
  return {
    chunks,
    states(all) {
      const none = pick(all, [empty]);
      const states = planned.map((each) => lengthened(each.states(all), chunks, none));
      return average(states, part.weights, part.normalize);
    },
  };
}

function isBlend(part: CompelPart): part is Blend {
  return "prompts" in part;
}

function planFragments(
  fragments: readonly Fragment[],
  tokenizer: CLIPTokenizer,
  rows: Rows,
  empty: number,
): PlannedPart {
  const tokens = fragments.flatMap(({ text, weight }, fragment) =>
    tokenizer.pieces(text).flat().map((id) => ({ id, weight, fragment }))
  );
  const chunks = sentences(tokens, tokenizer);
  const filled = chunks.map((chunk) =>
    rowOf({ ids: chunk.map(({ id }) => id), weights: chunk.map(({ weight }) => weight) }, tokenizer)
  );
  const weights = weightsOf(filled);
  const versions = [{ numbers: filled.map(({ ids }) => rows.add(ids)), share: 1 }];
  for (const [fragment, { weight }] of fragments.entries()) {
    const masks = weight < 1
      ? masksOf(chunks.map((chunk) => chunk.map((token) => token.fragment)), fragment, tokenizer)
      : undefined;
    if (!masks) continue;
    versions.push({
      numbers: filled.map(({ ids }, i) => rows.add(ids, masks[i])),
      share: Math.tan((1 - Math.max(1e-5, weight)) * Math.PI / 2), // 0 at a weight of 1, endless at 0
    });
  }
  return {
    chunks: chunks.length,
    states(all) {
      if (!weights) return pick(all, versions[0]!.numbers);
      const none = pick(all, [empty]);
      const weighted = versions.map(({ numbers }) => none.add(pick(all, numbers).sub(none).mul(weights)));
      return average(weighted, versions.map(({ share }) => share));
    },
  };
}

/**
 * Masks of chunks without the tokens of a fragment, of which each token's is given: from its first to its last, with what
 * fills chunks up between them, but for the first and the last token of a row. Undefined where it has no tokens.
 */
function masksOf(
  chunks: readonly (readonly number[])[],
  fragment: number,
  tokenizer: CLIPTokenizer,
): (number[] | undefined)[] | undefined {
  const { modelMaxLength: L } = tokenizer;
  const places = chunks.flatMap((chunk, i) =>
    chunk.flatMap((of, j) => of === fragment ? [i * L + 1 + j] : [])
  );
  const [first, last] = [places[0], places.at(-1)!];
  if (first === undefined) return undefined;
  return chunks.map((_, i) => {
    const mask = Array.from({ length: L }, (_, j) => {
      const isInside = i * L + j >= first && i * L + j <= last;
      return isInside && j > 0 && j < L - 1 ? 0 : 1;
    });
    return mask.includes(0) ? mask : undefined;
  });
}

/** Tokens after which a chunk ends, the first of these that its tokens have, its last one. */
const ENDS: readonly RegExp[] = [/^\.<\/w>$/, /^[.,;:]<\/w>$/, /<\/w>$/]; // sentences, phrases, words

/** Tokens in chunks: after the last whole sentence that one holds, else phrase, else word. */
function sentences<Token extends { readonly id: number }>(
  tokens: readonly Token[],
  tokenizer: CLIPTokenizer,
): Token[][] {
  const length = chunkLength(tokenizer);
  const chunks: Token[][] = [];
  let rest = [...tokens];
  do {
    let end = length;
    if (rest.length > length) {
      const names = tokenizer.convertIdsToTokens(rest.slice(0, length).map(({ id }) => id));
      const ends = ENDS.map((pattern) => names.findLastIndex((name) => pattern.test(name)));
      end = (ends.find((place) => place >= 0) ?? length - 1) + 1;
    }
    chunks.push(rest.slice(0, end));
    rest = rest.slice(end);
  } while (rest.length > 0);
  return chunks;
}

/** The sum of tensors times their weights, which may be divided by their sum. */
function average(tensors: readonly Tensor[], weights: readonly number[], normalize = true): Tensor {
  const sum = normalize ? weights.reduce((sum, weight) => sum + weight, 0) : 1;
  return weightedSum(...tensors.map((x, i): Term => [weights[i]! / sum, x]));
}
