import { type DType, isPacked, PACKED_BLOCK } from "../../core/dtype.ts";
import { size } from "../../core/shape.ts";
import type { TensorInfo } from "../formats/checkpoint.ts";
import type { Order } from "./host_convert.ts";
import { blockOf } from "../formats/stored_dtype.ts";

/** Bytes that are read, converted and sent at once. */
export const PIECE = 8 << 20;

/**
 * Pieces [first element, count] of a tensor whose elements take `width` bytes on their way: whole blocks and words, and of a
 * convolution whole output channels.
 */
export function* pieces(
  { shape, dtype }: TensorInfo,
  to: DType,
  { inputs, taps }: Order,
  width: number,
): Generator<[number, number]> {
  const count = size(shape);
  const rows = taps > 1 ? inputs * taps : 1;
  const blocks = Math.max(blockOf(dtype).elements, isPacked(to) ? PACKED_BLOCK : 4); // one divides the other
  const unit = leastCommonMultiple(rows, blocks);
  const most = Math.max(unit, Math.floor(PIECE / width / unit) * unit);
  for (let first = 0; first < count; first += most) yield [first, Math.min(most, count - first)];
}

function leastCommonMultiple(a: number, b: number): number {
  let [x, y] = [a, b];
  while (y) [x, y] = [y, x % y];
  return a / x * b;
}
