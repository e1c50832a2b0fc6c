import { expectOptions } from "../core/error.ts";
import { axisIndex, broadcast, expectList, formatShape, type Shape, size } from "../core/shape.ts";
import { full, tensor } from "./create.ts";
import { cat } from "./join.ts";
import { pointwise, where } from "./pointwise.ts";
import { recordPointwise } from "./record.ts";
import { arange } from "./ranges.ts";
import { Tensor } from "./tensor.ts";
import { plainType } from "./tensor_base.ts";

// Functions that move elements; the methods of tensors say what they do.

/** Axes in the other direction. */
export function flip(x: Tensor, axes: number | readonly number[]): Tensor {
  const reversed = [axes].flat().map((axis) => axisIndex(axis, x.rank));
  if (new Set(reversed).size < reversed.length) {
    throw new RangeError(`Cannot flip ${x} along ${formatShape(reversed)}: expected each axis once`);
  }
  let { strides, offset } = x;
  for (const axis of reversed.filter((axis) => x.shape[axis]! > 1)) {
    offset += (x.shape[axis]! - 1) * strides[axis]!;
    strides = strides.with(axis, -strides[axis]!);
  }
  // Such strides are for pointwise reading alone: a copy is made at once.
  return new Tensor(x.device, x.node, x.shape, strides, offset).contiguous();
}

/** Elements moved along axes, those at the end to the front; without axes along the flattened tensor. */
export function roll(
  x: Tensor,
  shifts: number | readonly number[],
  axes?: number | readonly number[],
): Tensor {
  if (axes === undefined) {
    if (typeof shifts !== "number") throw new TypeError(`Cannot roll ${x}: expected an axis for each shift`);
    return roll(x.flatten(), shifts, 0).reshape(x.shape);
  }
  const [by, along] = [[shifts].flat(), [axes].flat()];
  if (by.length !== along.length) throw new RangeError(`Cannot roll ${x}: expected an axis for each shift`);
  return along.reduce((y, axis, i) => {
    const n = y.shape[axisIndex(axis, y.rank)]!;
    const start = n && ((-by[i]! % n) + n) % n;
    return start === 0 ? y : cat([y.slice(axis, start), y.slice(axis, 0, start)], axis);
  }, x);
}

/** Options of pad(): the values beyond the edges. */
export interface PadOptions {
  /** One value, the elements mirrored at the edge, the edge's element, or the elements from the other end. */
  mode?: "constant" | "reflect" | "replicate" | "circular" | undefined;
  /** The value beyond the edges with mode "constant". */
  value?: number | undefined;
}

/**
 * Elements added at the ends of axes as torch's F.pad: `sizes` are before and after the last axis, then those of the one
 * before it, and so on; negative ones cut off.
 */
export function pad(
  x: Tensor,
  sizes: readonly number[],
  options: PadOptions = {},
): Tensor {
  expectList(sizes, "pad");
  expectOptions("pad", options, ["mode", "value"]);
  const { mode = "constant", value = 0 } = options;
  if (sizes.length % 2 !== 0 || sizes.length > 2 * x.rank || !sizes.every(Number.isInteger)) {
    throw new RangeError(
      `Cannot pad ${x} by ${formatShape(sizes)}: expected two whole sizes for each axis, the last first`,
    );
  }
  let y = x;
  for (let i = 0; i < sizes.length; i += 2) {
    const axis = x.rank - 1 - i / 2;
    const [before, after] = [sizes[i]!, sizes[i + 1]!];
    const n = x.shape[axis]!;
    if (n + before + after < 0) {
      throw new RangeError(
        `Cannot pad ${x} by ${formatShape(sizes)}: expected to cut off at most the ${n} of axis ${axis}`,
      );
    }
    y = y.slice(axis, Math.max(0, -before), n + Math.min(0, after));
    if (before > 0 || after > 0) y = padAxis(y, axis, Math.max(0, before), Math.max(0, after), mode, value);
  }
  return y;
}

function padAxis(
  x: Tensor,
  axis: number,
  before: number,
  after: number,
  mode: NonNullable<PadOptions["mode"]>,
  value: number,
): Tensor {
  const n = x.shape[axis]!;
  const most = { constant: Infinity, reflect: n - 1, replicate: n > 0 ? Infinity : 0, circular: n }[mode];
  if (most === undefined) {
    throw new TypeError(`Cannot pad in mode "${mode}": expected constant, reflect, replicate or circular`);
  }
  if (Math.max(before, after) > most) {
    throw new RangeError(
      `Cannot pad ${x} by ${before} and ${after} along axis ${axis} in mode "${mode}": expected at most ${most}`,
    );
  }
  if (mode === "constant" && value === 0) {
    const window = { axis, start: before, length: n };
    return recordPointwise({ op: "operand", index: 0 }, [x], {
      shape: x.shape.with(axis, before + n + after),
      windows: [window],
    });
  }
  const filled = (count: number) => full(x.shape.with(axis, count), value, { dtype: plainType(x) });
  const edge = (at: number, count: number) => x.slice(axis, at, at + 1).expand(x.shape.with(axis, count));
  const ends = {
    constant: () => [filled(before), filled(after)],
    reflect:
      () => [flip(x.slice(axis, 1, before + 1), axis), flip(x.slice(axis, n - 1 - after, n - 1), axis)],
    replicate: () => [edge(0, before), edge(n - 1, after)],
    circular: () => [x.slice(axis, n - before), x.slice(axis, 0, after)],
  }[mode]() as [Tensor, Tensor];
  return cat([ends[0], x, ends[1]], axis);
}

/** [outer, n, inner]: an axis with all before it and all behind it. */
function around(shape: Shape, axis: number): [number, number, number] {
  return [size(shape.slice(0, axis)), shape[axis]!, size(shape.slice(axis + 1))];
}

/** Copies of the tensor side by side, `repeats` times along each axis; more repeats than axes add axes in front. */
export function repeat(x: Tensor, repeats: readonly number[]): Tensor {
  expectList(repeats, "repeat");
  const added = repeats.length - x.rank;
  if (added < 0 || !repeats.every((n) => Number.isInteger(n) && n >= 0)) {
    throw new RangeError(
      `Cannot repeat ${x} ${formatShape(repeats)} times: expected at least ${x.rank} whole numbers from 0`,
    );
  }
  const start = x.reshape([...Array(added).fill(1), ...x.shape]);
  return repeats.reduce((y, times, axis) => {
    if (times === 1) return y;
    const [outer, n, inner] = around(y.shape, axis);
    return y.reshape([outer, 1, n * inner]).expand([outer, times, n * inner]).reshape(
      y.shape.with(axis, times * n),
    );
  }, start);
}

/** Each element `times` times in a row along an axis, or along the flattened tensor. */
export function repeatInterleave(x: Tensor, times: number, axis?: number): Tensor {
  if (axis === undefined) return repeatInterleave(x.flatten(), times, 0);
  const at = axisIndex(axis, x.rank);
  const [outer, n, inner] = around(x.shape, at);
  return x.reshape([outer * n, 1, inner]).expand([outer * n, times, inner]).reshape(
    x.shape.with(at, n * times),
  );
}

/** `src` in place of the slice of an axis that slice() gives. */
export function sliceScatter(x: Tensor, src: Tensor, axis = 0, start = 0, end?: number, step = 1): Tensor {
  const at = axisIndex(axis, x.rank);
  const n = x.shape[at]!;
  const part = x.slice(at, start, end, step);
  if (formatShape(part.shape) !== formatShape(src.shape)) {
    throw new RangeError(
      `Cannot put ${src} into ${x}: expected the slice's shape ${formatShape(part.shape)}`,
    );
  }
  if (part.size === 0) return x;
  const first = Math.max(0, start < 0 ? start + n : start);
  const value = src.to(plainType(x));
  if (step === 1) return cat([x.slice(at, 0, first), value, x.slice(at, first + src.shape[at]!)], at);
  const places = Array.from({ length: n }, (_, i) => (i - first) / step);
  const inside = places.map((place) => Number.isInteger(place) && place >= 0 && place < src.shape[at]!);
  const index = tensor(places.map((place, i) => inside[i] ? place : 0), { dtype: "i32" });
  const mask = tensor(inside).reshape(x.shape.map((m, i) => i === at ? m : 1));
  return where(mask, value.indexSelect(at, index), x);
}

/** `src` in place of what select() gives. */
export function selectScatter(x: Tensor, src: Tensor, axis: number, index: number): Tensor {
  const at = axisIndex(axis, x.rank);
  x.select(at, index); // refuses an index out of range
  const i = index < 0 ? index + x.shape[at]! : index;
  return sliceScatter(x, src.unsqueeze(at), at, i, i + 1);
}

/** `src` in place of what diagonal() gives. */
export function diagonalScatter(x: Tensor, src: Tensor, offset = 0, axis1 = 0, axis2 = 1): Tensor {
  const { shape } = x.diagonal(offset, axis1, axis2);
  if (formatShape(shape) !== formatShape(src.shape)) {
    throw new RangeError(`Cannot put ${src} into ${x}: expected the diagonal's shape ${formatShape(shape)}`);
  }
  if (src.size === 0) return x;
  const matrices = x.movedim([axis1, axis2], [-2, -1]);
  const [rows, length] = [matrices.shape.at(-2)!, shape.at(-1)!];
  const places = Array.from(
    { length: rows },
    (_, i) => Math.min(length - 1, Math.max(0, i + Math.min(0, offset))),
  );
  const values = src.to(plainType(x)).indexSelect(-1, tensor(places, { dtype: "i32" })).unsqueeze(-1);
  return where(distances(matrices).eq(offset), values, matrices).movedim([-2, -1], [axis1, axis2]);
}

/** Column minus row of each place of a matrix. */
function distances(x: Tensor): Tensor {
  if (x.rank < 2) throw new RangeError(`Cannot take a triangle of ${x}: expected at least two axes`);
  return arange(x.shape.at(-1)!).sub(arange(x.shape.at(-2)!).unsqueeze(1));
}

/** The elements of matrices up to a diagonal, else 0. */
export function tril(x: Tensor, diagonal = 0): Tensor {
  return pointwise("select", distances(x).le(diagonal), x, false);
}

/** The elements of matrices from a diagonal on, else 0. */
export function triu(x: Tensor, diagonal = 0): Tensor {
  return pointwise("select", distances(x).ge(diagonal), x, false);
}

/** A matrix with a vector on a diagonal, else 0; or a matrix's diagonal. */
export function diag(x: Tensor, diagonal = 0): Tensor {
  if (x.rank === 2) return x.diagonal(diagonal);
  if (x.rank !== 1) {
    throw new RangeError(`Cannot take the diagonal of ${x}: expected one axis or two; use diagonal()`);
  }
  const n = x.size + Math.abs(diagonal);
  return diagonalScatter(full([n, n], 0, { dtype: plainType(x) }), x, diagonal);
}

/** gather() of tensors that are broadcast but along the axis; without an axis, of the flattened tensor. */
export function takeAlongDim(x: Tensor, indices: Tensor, axis?: number): Tensor {
  if (axis === undefined) return x.flatten().gather(0, indices.flatten());
  if (indices.rank !== x.rank) {
    throw new RangeError(`Cannot take from ${x} along ${indices}: expected as many axes`);
  }
  const at = axisIndex(axis, x.rank);
  const shape = broadcast(x.shape.with(at, 1), indices.shape.with(at, 1));
  const like = (t: Tensor) => t.expand(shape.with(at, t.shape[at]!));
  return like(x).gather(at, like(indices));
}

/** aᵢ · bⱼ. a [N], b [M] → [N, M]. */
export function outer(a: Tensor, b: Tensor): Tensor {
  if (a.rank !== 1 || b.rank !== 1) {
    throw new RangeError(`Cannot multiply ${a} by ${b}: expected one axis each`);
  }
  return a.unsqueeze(1).mul(b);
}
