import { expectOptions } from "../../core/error.ts";
import type { Tensor } from "../../tensor/mod.ts";
import { attentionInBlocks } from "./blocks.ts";
import { broadcastForm, fusedAttention, tiledForm } from "./fused.ts";

/** Options of `attention`. */
export interface AttentionOptions {
  /** Factor on q · k; by default 1 / √D. */
  scale?: number | undefined;
  /** Query i sees keys 0 to i only. */
  causal?: boolean | undefined;
  /** Added to the scores before the softmax; broadcast to [B, H, L, S]. */
  mask?: Tensor | undefined;
}

/**
 * softmax(scale · q kᵀ + mask) v for each head (Vaswani et al. 2017). q [B, H, L, D], k and v [B, H, S, D] →
 * [B, H, L, D], stored as [B, L, H, D]. One dispatch, the scores of a long sequence never in memory.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  expectOptions("attend", options, ["scale", "causal", "mask"]);
  const [B, H, , D] = q.shape;
  const S = k.shape[2]!;
  const fits = (t: Tensor) => t.rank === 4 && t.shape[0] === B && t.shape[1] === H && t.shape[2] === S;
  if (!fits(k) || !fits(v) || k.shape[3] !== D) {
    throw new RangeError(
      `Cannot attend with ${q} to ${k} and ${v}: expected [B, H, L, D] and twice [B, H, S, D]`,
    );
  }
  // A software adapter is slower with the form for GPUs than in blocks (a fourth of the speed), and its own form has no
  // room for masks and wide heads.
  const form = q.device.traits.software
    ? options.mask ? undefined : broadcastForm(q.device, v.shape[3]!)
    : tiledForm(q.device, v.shape[3]!);
  return form && q.size * S > 0
    ? fusedAttention(form, [q, k, v], options)
    : attentionInBlocks(q, k, v, options);
}
