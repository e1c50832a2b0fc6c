import assert from "node:assert/strict";
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
