import { attention, type AttentionOptions } from "../ops/mod.ts";
import { attentionProbs, mixValues } from "../ops/attention/blocks.ts";
import { isWanted, named, type Tensor } from "../tensor/mod.ts";

/**
 * Attention whose result is a part of its own, "attention", so that an edit may put another way in its place. Its maps
 * are another, "attention_probs" [B, H, L, S]: where they are asked for, they are computed with all scores in memory.
 * q [B, H, L, D], k and v [B, H, S, D] → [B, H, L, D].
 */
export function attend(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  const probs = isWanted("attention_probs")
    ? named("attention_probs", () => attentionProbs(q, k, options), [q, k])
    : undefined;
  const run = () => probs ? mixValues(probs, v, q.dtype) : attention(q, k, v, options);
  return named("attention", run, [q, k, v]);
}
