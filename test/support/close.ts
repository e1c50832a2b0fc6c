import assert from "node:assert/strict";
import type { Tensor } from "../../src/mod.ts";
import { type Difference, difference } from "./arrays.ts";

/** Fails where a value is further than `bound` from its reference, and shows the worst one. */
export function assertClose(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  bound: number,
  what: string,
): void {
  const worst = difference(got, want);
  assert.ok(worst.abs <= bound, describe(got, want, worst, worst.abs, bound, what));
}

/** Fails where a value is further from its reference than `bound` times the largest reference. */
export function assertRelativelyClose(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  bound: number,
  what: string,
): void {
  const worst = difference(got, want);
  assert.ok(worst.rel <= bound, describe(got, want, worst, worst.rel, bound, what));
}

function describe(
  got: ArrayLike<number>,
  want: ArrayLike<number>,
  { index }: Difference,
  error: number,
  bound: number,
  what: string,
): string {
  if (index < 0) return `${what}: got ${got.length} values, want ${want.length}`;
  return `${what}: at ${index} got ${got[index]}, want ${want[index]}, off by ${error}, bound ${bound}`;
}

/** Fails unless a picture in [0, 1] is another, rounded to bytes: at most 1 off, in under 1 % of its values. */
export async function assertPicture(image: Tensor, want: Tensor): Promise<void> {
  assert.deepEqual(image.shape, want.shape);
  const off = Float32Array.from(await image.sub(want).mul(255).abs().data());
  const most = off.reduce((a, b) => Math.max(a, b));
  assert.ok(most < 1.5, `off by ${most} of 255`); // of values that are rounded alike
  const wrong = off.filter((value) => value > 0.501).length;
  assert.ok(wrong < off.length / 100, `${wrong} of ${off.length} values differ`);
}
