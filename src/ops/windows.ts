/** One number for both axes of a picture, or [vertical, horizontal], as in torch. */
export type Pair = number | readonly [vertical: number, horizontal: number];

/**
 * Zeros around a picture: one number, [vertical, horizontal], or [left, right, top, bottom]; "same" gives as many
 * pixels as there were, "valid" is none.
 */
export type Padding =
  | Pair
  | readonly [left: number, right: number, top: number, bottom: number]
  | "same"
  | "valid";

/** Windows along one axis of a picture. */
export interface Window {
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  /** Zeros in front of the picture and behind it. */
  readonly before: number;
  readonly after: number;
}

/** The windows of both axes of a picture, vertical first. */
export function windowsOf(
  kernel: readonly [number, number],
  stride: Pair,
  dilation: Pair,
  padding: Padding,
): [Window, Window] {
  const [strides, dilations] = [pairOf(stride), pairOf(dilation)];
  const steps = [...strides, ...dilations];
  const zeros = typeof padding === "number" ? [padding] : typeof padding === "string" ? [] : padding;
  const named = padding === "same" || padding === "valid" || typeof padding !== "string";
  if (!steps.every((n) => Number.isInteger(n) && n > 0) || !zeros.every(Number.isInteger) || !named) {
    throw new RangeError(
      `Cannot convolve with stride ${stride}, dilation ${dilation}, padding ${padding}: expected whole numbers`,
    );
  }
  const axis = (i: 0 | 1): Window => {
    const [before, after] = sides(padding, i, dilations[i] * (kernel[i] - 1));
    return { kernel: kernel[i], stride: strides[i], dilation: dilations[i], before, after };
  };
  return [axis(0), axis(1)];
}

/** Number of windows on an axis of n pixels; below 1 where it is too small. */
export function windowCount(n: number, { kernel, stride, dilation, before, after }: Window): number {
  return Math.floor((n + before + after - dilation * (kernel - 1) - 1) / stride) + 1;
}

/** One number for each axis, vertical first. */
export function pairOf(value: Pair): readonly [number, number] {
  return typeof value === "number" ? [value, value] : value;
}

/** Zeros in front of one axis and behind it; without any, its windows are fewer than its pixels by `lost`. */
function sides(padding: Padding, axis: 0 | 1, lost: number): [number, number] {
  if (padding === "valid") return [0, 0];
  if (padding === "same") return [Math.floor(lost / 2), Math.ceil(lost / 2)];
  if (typeof padding !== "number" && padding.length === 4) {
    const [left, right, top, bottom] = padding;
    return axis === 0 ? [top, bottom] : [left, right];
  }
  const both = pairOf(padding)[axis];
  return [both, both];
}
