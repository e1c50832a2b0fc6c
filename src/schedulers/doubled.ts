/**
 * Every value but the first twice:
 * [a, b, c] → [a, b, b, c, c], as a method with two model calls a step visits them.
 */
export function doubled(values: readonly number[]): number[] {
  return values.flatMap((value, i) => i === 0 ? [value] : [value, value]);
}
