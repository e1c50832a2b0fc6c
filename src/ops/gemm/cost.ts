import type { Traits } from "../../gpu/traits.ts";
import type { Gemm } from "./gemm.ts";

/** What a form of the product takes for a shape. */
export interface Work {
  /** Workgroups that the grid has. */
  readonly workgroups: number;
  /** Multiply-adds of one workgroup, those on rows and columns beyond the edges too. */
  readonly multiplyAdds: number;
  /** Multiply-adds that a processor does in the time of one f32 fma a lane: 2 for packed f16, 8 for matrix units. */
  readonly rate: number;
  /** Workgroups that a processor runs side by side. */
  readonly resident: number;
}

/** Expected time of a dispatch, in a unit that the forms of one product share: waves of workgroups times their work. */
export function costOf(traits: Traits, { workgroups, multiplyAdds, rate, resident }: Work): number {
  const waves = Math.ceil(workgroups / (traits.multiprocessors * resident));
  return waves * resident * multiplyAdds / rate;
}

/** Names products for which one candidate is taken to be the fastest: sizes count in steps of √2. */
export function shapeClassOf({ x, w, batch, m, n, k, taps = 1, order, conv, gate, others }: Gemm): string {
  const step = (size: number) => Math.round(2 * Math.log2(Math.max(1, size)));
  const kind = [order, conv && `conv${taps}`, gate && "gate", others && "three"].filter(Boolean).join("-");
  return [kind, x.dtype, w.dtype, step(batch[0] * batch[1]), step(m), step(n), step(k)].join("/");
}
