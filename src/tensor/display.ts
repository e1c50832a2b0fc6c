import type { DType } from "../core/dtype.ts";
import { type Shape, size } from "../core/shape.ts";

const MOST = 1000; // elements that are shown whole
const EDGE = 3; // at each end of an axis otherwise

/** A tensor, as far as consoles show it. */
interface Shown {
  readonly shape: Shape;
  readonly dtype: DType;
  /** Values that the host has seen, as many of them as are shown. */
  seen: readonly number[] | undefined;
}

/** Lets the values of a tensor be shown from now on. */
export function remember(x: Shown, values: ArrayLike<number>): void {
  const { shape } = x;
  const picked: number[] = [];
  const places = shownPlaces(shape);
  const pick = (axis: number, start: number) => {
    if (axis === shape.length) picked.push(values[start]!);
    else for (const i of places[axis]!) if (i >= 0) pick(axis + 1, start * shape[axis]! + i);
  };
  pick(0, 0);
  x.seen = picked;
}

/** Indices along each axis that are shown, -1 standing for those left out. */
function shownPlaces(shape: Shape): number[][] {
  const whole = size(shape) <= MOST;
  return shape.map((n) =>
    whole || n <= 2 * EDGE
      ? Array.from({ length: n }, (_, i) => i)
      : [...Array(EDGE).keys(), -1, ...Array.from({ length: EDGE }, (_, i) => n - EDGE + i)]
  );
}

/** A tensor as consoles show it: name, shape, type, and the values once they were read, as torch prints them. */
export function shown(x: Shown): string {
  const picked = x.seen;
  if (!picked) return String(x);
  const { shape } = x;
  const words = picked.map((value) => wordOf(value, x.dtype));
  const width = Math.max(0, ...words.map((word) => word.length));
  const places = shownPlaces(shape);
  let next = 0;
  const write = (axis: number): string => {
    if (axis === shape.length) return words[next++]!.padStart(width);
    const parts = places[axis]!.map((i) => i < 0 ? "..." : write(axis + 1));
    const inner = shape.length - 1 - axis; // axes within this one
    return `[${parts.join(inner === 0 ? ", " : `,${"\n".repeat(inner)}${" ".repeat(axis + 1)}`)}]`;
  };
  return `${x}\n${write(0)}`;
}

function wordOf(value: number, dtype: DType): string {
  if (dtype === "bool") return String(value !== 0);
  return String(dtype === "f32" || dtype === "f16" ? Number(value.toPrecision(5)) : value);
}
