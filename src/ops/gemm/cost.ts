import { bytesOf } from "../../core/dtype.ts";
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
  /** Bytes that come from or go to the GPU's memory and to no cache; none by default. */
  readonly bytes?: number;
}

/** Multiply-adds for which a GPU has the time that a byte of its memory takes: 9 on an H100, 30 to 40 on an RTX 4090. */
const BYTE = 20;
/** The same where the processors are those of the host, to which memory is near. */
const HOST_BYTE = 1;
/** What one more dispatch costs: about 3 µs, in multiply-adds of a processor. */
export const DISPATCH = 2 ** 19;

/**
 * Expected time of a dispatch, in a unit that the forms of one product share: multiply-adds of the busiest processor, which
 * is half idle with half as many workgroups as it runs side by side, as one waits for memory while others compute.
 */
export function costOf(
  traits: Traits,
  { workgroups, multiplyAdds, rate, resident, bytes = 0 }: Work,
): number {
  const { software, multiprocessors } = traits;
  const rounds = Math.max(Math.ceil(workgroups / multiprocessors), resident / 2);
  return rounds * multiplyAdds / rate + bytes * (software ? HOST_BYTE : BYTE) / multiprocessors;
}

/** Bytes of a product's weights, which every form reads at least once. */
export function weightBytes({ w, batch: [z0, z1], n, k, taps = 1, wLayout }: Gemm): number {
  return (wLayout.z0 ? z0 : 1) * z1 * n * k * taps * bytesOf(w.dtype);
}

/** Names products for which one candidate is taken to be the fastest: sizes count in steps of √2. */
export function shapeClassOf(
  { x, w, batch, m, n, k, taps = 1, order, conv, second, gate, others }: Gemm,
): string {
  const step = (size: number) => Math.round(2 * Math.log2(Math.max(1, size)));
  const kind = [order, conv && `conv${taps}`, second && "two", gate && "gate", others && "three"].filter(
    Boolean,
  ).join("-");
  return [kind, x.dtype, w.dtype, step(batch[0] * batch[1]), step(m), step(n), step(k)].join("/");
}
