/** Sizes of a tensor's axes, outermost first; `Shape<4>` where a check has established that there are four. */
export type Shape<N extends number = number> = number extends N ? readonly number[]
  : Readonly<Tuple<number, N>>;

/** An array of N elements, as far as the type checker can know it. */
export type Tuple<T, N extends number, Found extends T[] = []> = number extends N ? T[]
  : Found["length"] extends N ? Found
  : Tuple<T, N, [...Found, T]>;

/** Most axes a tensor may have: pointwise kernels unroll their index arithmetic over them. */
const MAX_RANK = 6;

/** Number of elements. */
export function size(shape: Shape): number {
  return shape.reduce((product, n) => product * n, 1);
}

/** Strides of a row-major tensor, in elements. */
export function contiguousStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}

/** Strides of a [B, C, ...pixels] tensor whose channels lie innermost, as in [B, ...pixels, C]. */
export function channelsLastStrides(shape: Shape): number[] {
  const [B, C, ...pixels] = shape as readonly [number, number, ...number[]];
  const [batch, ...rest] = contiguousStrides([B, ...pixels, C]) as [number, ...number[]];
  return [batch, 1, ...rest.slice(0, -1)];
}

/** Strides in which models and kernels store a tensor: pictures [B, C, H, W] with channels innermost, else row-major. */
export function usualStrides(shape: Shape): number[] {
  return shape.length === 4 ? channelsLastStrides(shape) : contiguousStrides(shape);
}

/** The shape that numpy gives to an operation on two shapes. Throws a RangeError where they do not fit. */
export function broadcast(a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const m = a[i - rank + a.length] ?? 1;
    const n = b[i - rank + b.length] ?? 1;
    if (m !== n && m !== 1 && n !== 1) {
      throw new RangeError(
        `Cannot broadcast ${formatShape(a)} with ${
          formatShape(b)
        }: expected equal sizes or 1, got ${m} and ${n}`,
      );
    }
    return m === 1 ? n : m;
  });
}

/** Axis counted from the front; negative axes count from the back, as in numpy. */
export function axisIndex(axis: number, rank: number): number {
  if (rank === 0) throw new RangeError(`Cannot use axis ${axis}: the tensor has none`);
  const index = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || index < 0 || index >= rank) {
    throw new RangeError(`Cannot use axis ${axis}: expected -${rank} to ${rank - 1} for ${rank} axes`);
  }
  return index;
}

/** Throws unless numbers are given as a list; Python also takes them one by one. */
export function expectList(numbers: readonly number[], call: string): void {
  if (Array.isArray(numbers)) return;
  throw new TypeError(`Cannot ${call} by ${numbers}: expected a list of numbers, as in ${call}([2, 3])`);
}

/** Throws unless every size is a whole number from 0. */
export function checkShape(shape: Shape): void {
  if (!Array.isArray(shape)) {
    throw new TypeError(`Cannot make a tensor ${shape}: expected a list of sizes, as in [2, 3]`);
  }
  if (shape.length > MAX_RANK) {
    throw new RangeError(
      `Cannot make a tensor ${formatShape(shape)}: expected at most ${MAX_RANK} axes, got ${shape.length}`,
    );
  }
  if (!shape.every((n) => Number.isSafeInteger(n) && n >= 0)) {
    throw new RangeError(`Cannot make a tensor ${formatShape(shape)}: expected whole sizes from 0`);
  }
}

/**
 * Coordinates of the element at a place in memory, where the axes lie there by `strides`; along axes that repeat an element
 * (stride 0) the first.
 */
export function placeOf(element: number, shape: Shape, strides: readonly number[]): number[] {
  const place = shape.map(() => 0);
  const order = shape.map((_, axis) => axis).filter((axis) => shape[axis]! > 1 && strides[axis]! > 0);
  for (const axis of order.sort((a, b) => strides[b]! - strides[a]!)) {
    place[axis] = Math.floor(element / strides[axis]!);
    element %= strides[axis]!;
  }
  return place;
}

/** True where both list the same numbers. */
export function sameNumbers(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((n, i) => n === b[i]);
}

/** `[2, 3, 4]`, as error messages write shapes. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** True where `a` and `b` address the same elements of `shape`: strides of axes of size 1 do not count. */
export function sameStrides(shape: Shape, a: readonly number[], b: readonly number[]): boolean {
  return shape.every((n, axis) => n === 1 || a[axis] === b[axis]);
}

/**
 * Strides under which a view with these strides can be read as `to`, or undefined where memory order forbids
 * it (the caller then copies). As in numpy: axes that are merged must be evenly spaced.
 */
export function reshapeStrides(shape: Shape, strides: readonly number[], to: Shape): number[] | undefined {
  if (size(shape) === 0) return contiguousStrides(to);
  const axes = shape.map((_, axis) => axis).filter((axis) => shape[axis] !== 1);
  const result = new Array<number>(to.length).fill(1);
  let [oldFirst, newFirst] = [0, 0];
  while (oldFirst < axes.length && newFirst < to.length) {
    // The smallest runs of old and of new axes that hold equally many elements.
    let [oldEnd, newEnd] = [oldFirst + 1, newFirst + 1];
    let oldCount = shape[axes[oldFirst]!]!;
    let newCount = to[newFirst]!;
    while (oldCount !== newCount) {
      if (newCount < oldCount) newCount *= to[newEnd++]!;
      else oldCount *= shape[axes[oldEnd++]!]!;
    }
    for (let i = oldFirst; i < oldEnd - 1; i++) {
      if (strides[axes[i]!] !== shape[axes[i + 1]!]! * strides[axes[i + 1]!]!) return undefined;
    }
    let stride = strides[axes[oldEnd - 1]!]!;
    for (let i = newEnd - 1; i >= newFirst; i--) {
      result[i] = stride;
      stride *= to[i]!;
    }
    [oldFirst, newFirst] = [oldEnd, newEnd];
  }
  return result;
}
