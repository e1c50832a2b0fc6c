import { size } from "../../src/core/shape.ts";

/** How far values are from others, of which `there` are the reference. */
export interface Difference {
  /** max|here − there| / max|there|. */
  readonly error: number;
  /** The root mean square of the difference over that of `there`. */
  readonly rms: number;
  /** The root mean square of `there` over the largest of its values. */
  readonly spread: number;
  /** The element that is furthest off. */
  readonly worst: { readonly index: readonly number[]; readonly here: number; readonly there: number };
  /**
   * Number of elements by the decade of their error, which counts as `error` does: below 1e-8, 1e-8 to 1e-7,
   * … from 1 on.
   */
  readonly decades: readonly number[];
}

/** The decades of `Difference.decades`: below 10 to this power, then a decade each. */
export const FIRST_DECADE = -8;
const DECADES = 10; // down to below 1e-8, up to above 1

/** The difference of values of one shape. Numbers that are not finite are right where both have the same. */
export function differenceOf(
  here: ArrayLike<number>,
  there: ArrayLike<number>,
  shape: readonly number[],
): Difference {
  let [largest, squares, wrong, most, at] = [0, 0, 0, 0, 0];
  const off = new Float64Array(there.length);
  for (let i = 0; i < there.length; i++) {
    const [a, b] = [here[i]!, there[i]!];
    const difference = Object.is(a, b) ? 0 : Math.abs(a - b);
    off[i] = Number.isNaN(difference) ? Infinity : difference;
    if (Number.isFinite(b)) {
      largest = Math.max(largest, Math.abs(b));
      squares += b * b;
    }
    wrong += off[i]! ** 2;
    if (off[i]! > most) [most, at] = [off[i]!, i];
  }
  const over = (part: number, whole: number) => part === 0 ? 0 : part / whole;
  const decades: number[] = new Array(DECADES).fill(0);
  for (const difference of off) {
    const decade = Math.floor(Math.log10(over(difference, largest))) - FIRST_DECADE + 1;
    decades[Math.min(DECADES - 1, Math.max(0, decade))]!++;
  }
  return {
    error: over(most, largest),
    rms: Math.sqrt(over(wrong, squares)),
    spread: Math.sqrt(over(squares, there.length)) / (largest || 1),
    worst: { index: indexOf(at, shape), here: here[at] ?? 0, there: there[at] ?? 0 },
    decades,
  };
}

/** Place of an element along the axes. */
function indexOf(at: number, shape: readonly number[]): number[] {
  return shape.map((n, axis) => Math.floor(at / size(shape.slice(axis + 1))) % n);
}

/**
 * True if two shapes are the same but for adjacent axes that are one in the other, which have the same order
 * in memory.
 */
export function isSameOrder(a: readonly number[], b: readonly number[]): boolean {
  const ends = (shape: readonly number[]) => new Set(shape.map((_, axis) => size(shape.slice(axis))));
  const [p, q] = [ends(a), ends(b)];
  return size(a) === size(b) && (p.isSubsetOf(q) || q.isSubsetOf(p));
}
