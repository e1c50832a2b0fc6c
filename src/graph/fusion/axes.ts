import { reshapeStrides, type Shape } from "../../core/shape.ts";

/** Axes of several views of one shape, merged where all of them run on evenly. */
export interface Axes {
  /** Sizes, outermost first; the innermost has stride 1 in the first view. */
  readonly sizes: number[];
  /** Strides of each view over these axes. */
  readonly strides: number[][];
  /** New axis of each axis of the shape, or -1 (size 1, or merged into another). */
  readonly place: number[];
}

/**
 * Orders the axes of a shape by the first view's memory, drops those of size 1 and merges neighbours that
 * every view walks evenly. Axes in `apart` are never merged.
 */
export function collapse(
  shape: Shape,
  views: readonly (readonly number[])[],
  apart: ReadonlySet<number>,
): Axes {
  const order = shape.map((_, axis) => axis).filter((axis) => shape[axis] !== 1)
    .sort((a, b) => views[0]![b]! - views[0]![a]! || a - b);
  const sizes: number[] = [];
  const strides: number[][] = views.map(() => []);
  const place = shape.map(() => -1);
  let previous = -1;
  for (const axis of order) {
    const merges = previous >= 0 && !apart.has(axis) && !apart.has(previous) &&
      views.every((view) => view[previous] === view[axis]! * shape[axis]!);
    if (merges) {
      sizes[sizes.length - 1]! *= shape[axis]!;
      views.forEach((view, i) => strides[i]![sizes.length - 1] = view[axis]!);
    } else {
      sizes.push(shape[axis]!);
      views.forEach((view, i) => strides[i]!.push(view[axis]!));
      place[axis] = sizes.length - 1;
    }
    previous = axis;
  }
  if (sizes.length === 0) {
    sizes.push(1);
    strides.forEach((list, i) => list.push(i === 0 ? 1 : 0));
  }
  return { sizes, strides, place };
}

/**
 * Strides of views over given target axes (of `targetSizes`, with `targetStrides` in memory), where the axes
 * of `shape`, laid out by `layout`, can be grouped into them; undefined where they cannot.
 */
export function fitStrides(
  shape: Shape,
  layout: readonly number[],
  views: readonly (readonly number[])[],
  targetSizes: readonly number[],
  targetStrides: readonly number[],
): number[][] | undefined {
  const byStride = (strides: readonly number[]) => (a: number, b: number) =>
    strides[b]! - strides[a]! || a - b;
  const axes = shape.map((_, axis) => axis).filter((axis) => shape[axis] !== 1).sort(byStride(layout));
  const targets = targetSizes.map((_, t) => t).filter((t) => targetSizes[t] !== 1).sort(
    byStride(targetStrides),
  );
  const result = views.map(() => targetSizes.map(() => 0));
  let next = 0;
  for (const target of targets) {
    let count = 1;
    const first = next;
    while (count < targetSizes[target]! && next < axes.length) count *= shape[axes[next++]!]!;
    if (count !== targetSizes[target] || layout[axes[next - 1]!] !== targetStrides[target]) return undefined;
    for (let i = first; i < next - 1; i++) {
      const [outer, inner] = [axes[i], axes[i + 1]] as [number, number];
      const even = (view: readonly number[]) => view[outer] === view[inner]! * shape[inner]!;
      if (!even(layout) || !views.every(even)) return undefined;
    }
    views.forEach((view, i) => result[i]![target] = view[axes[next - 1]!]!);
  }
  return next === axes.length ? result : undefined;
}

/**
 * A view's strides over the axes of another shape, where both shapes, laid out by their dense strides, run
 * through the same memory; undefined where the other shape merges axes that the view walks unevenly, or is
 * not dense.
 */
export function reorder(
  shape: Shape,
  layout: readonly number[],
  view: readonly number[],
  toShape: Shape,
  toLayout: readonly number[],
): number[] | undefined {
  const sorted = (sizes: Shape, strides: readonly number[]) =>
    sizes.map((_, axis) => axis).filter((axis) => sizes[axis] !== 1).sort((a, b) =>
      strides[b]! - strides[a]!
    );
  const from = sorted(shape, layout);
  const to = sorted(toShape, toLayout);
  let dense = 1;
  for (const axis of to.toReversed()) {
    if (toLayout[axis] !== dense) return undefined;
    dense *= toShape[axis]!;
  }
  const pick = (axes: number[], values: readonly number[]) => axes.map((axis) => values[axis]!);
  const strides = reshapeStrides(pick(from, shape), pick(from, view), pick(to, toShape));
  if (!strides) return undefined;
  const result = toShape.map(() => 0);
  to.forEach((axis, i) => result[axis] = strides[i]!);
  return result;
}
