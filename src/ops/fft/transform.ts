import { axisIndex, formatShape } from "../../core/shape.ts";
import { rowsAlong, Tensor } from "../../tensor/mod.ts";
import { type Complex, mapParts, type PerhapsReal } from "./complex.ts";
import { dftRows, type Sign } from "./dft.ts";

/** The scaling of transforms: "backward" the inverse by 1 / N, "forward" the other, "ortho" both by 1 / √N. */
export type FftNorm = "backward" | "forward" | "ortho";

/** The transform along axes, one after the other. */
export function transform(
  x: Tensor | Complex,
  s: readonly number[] | undefined,
  axes: readonly number[],
  sign: Sign,
  norm: FftNorm | undefined,
): Complex {
  let parts = complexParts(x);
  const { real } = parts;
  const order = axes.map((axis) => axisIndex(axis, real.rank));
  const lengths = s ?? order.map((axis) => real.shape[axis]!);
  if (lengths.length !== order.length || new Set(order).size !== order.length || order.length === 0) {
    throw new RangeError(
      `Cannot transform ${real}: expected each axis once, with its length, got axes ${
        formatShape(axes)
      } and lengths ${formatShape(lengths)}`,
    );
  }
  checkLengths(real, lengths);
  order.forEach((axis, i) => {
    const { back } = rowsAlong(parts.real, axis);
    const rows = mapParts(parts, (part) => cutOrPad(rowsAlong(part, axis).rows, lengths[i]!));
    parts = mapParts(dftRows(rows, sign), back);
  });
  const scale = scaleOf(lengths.reduce((product, n) => product * n, 1), sign, norm);
  return mapParts(parts, (part) => part.mul(scale)) as Complex;
}

/** The axes of `s`, or all. */
export function lastAxes(x: Tensor | Complex, s: readonly number[] | undefined): number[] {
  const { rank } = x instanceof Tensor ? x : x.real;
  return [...Array(rank).keys()].slice(s ? rank - s.length : 0);
}

/** Both parts in f32. */
export function complexParts(x: Tensor | Complex): PerhapsReal {
  return mapParts(x instanceof Tensor ? { real: x } : x, (part) => part.cast("f32"));
}

/** Throws unless there is something to transform. */
export function checkLengths(x: Tensor, lengths: readonly number[]): void {
  const bad = lengths.find((n) => !Number.isInteger(n) || n < 1);
  if (bad !== undefined) {
    throw new RangeError(`Cannot transform ${x}: expected at least one element along an axis, got ${bad}`);
  }
}

/** Rows cut, or filled up with zeros. */
export function cutOrPad(rows: Tensor, n: number): Tensor {
  return n === rows.shape[1] ? rows : rows.pad([0, n - rows.shape[1]!]);
}

/** Factor of a transform of `count` elements. */
export function scaleOf(count: number, sign: Sign, norm: FftNorm = "backward"): number {
  const scales = {
    backward: sign === 1 ? 1 / count : 1,
    forward: sign === 1 ? 1 : 1 / count,
    ortho: count ** -0.5,
  };
  if (!(norm in scales)) {
    throw new RangeError(
      `Cannot transform: expected a norm of ${Object.keys(scales).join(", ")}, got ${norm}`,
    );
  }
  return scales[norm];
}
