import { axisIndex, formatShape } from "../core/shape.ts";
import { cat, rowsAlong, Tensor, tensor } from "../tensor/mod.ts";
import { type Complex, mapParts, type PerhapsReal } from "./complex.ts";
import { dftRows, type Sign } from "./dft.ts";

/** By what a transform is scaled: "backward" the inverse by 1 / N, "forward" the other, "ortho" both by 1 / √N. */
export type FftNorm = "backward" | "forward" | "ortho";

/** Options of transforms along one axis. */
export interface FftOptions {
  /** Elements that are taken; fewer are filled up with zeros. All by default. */
  n?: number | undefined;
  /** The last by default. */
  axis?: number | undefined;
  /** "backward" by default. */
  norm?: FftNorm | undefined;
}

/** Options of transforms along several axes. */
export interface FftnOptions {
  /** Elements that are taken of each axis; fewer are filled up with zeros. All by default. */
  s?: readonly number[] | undefined;
  /** All by default, or with `s` the last ones. */
  axes?: readonly number[] | undefined;
  /** "backward" by default. */
  norm?: FftNorm | undefined;
}

/** The Fourier transform along an axis, as torch.fft.fft, of any length. */
export function fft(x: Tensor | Complex, { n, axis = -1, norm }: FftOptions = {}): Complex {
  return transform(x, n === undefined ? undefined : [n], [axis], -1, norm);
}

/** The inverse of `fft`, as torch.fft.ifft. */
export function ifft(x: Tensor | Complex, { n, axis = -1, norm }: FftOptions = {}): Complex {
  return transform(x, n === undefined ? undefined : [n], [axis], 1, norm);
}

/** The Fourier transform along the last two axes, as torch.fft.fft2. */
export function fft2(x: Tensor | Complex, { s, axes = [-2, -1], norm }: FftnOptions = {}): Complex {
  return transform(x, s, axes, -1, norm);
}

/** The inverse of `fft2`, as torch.fft.ifft2. */
export function ifft2(x: Tensor | Complex, { s, axes = [-2, -1], norm }: FftnOptions = {}): Complex {
  return transform(x, s, axes, 1, norm);
}

/** The Fourier transform along several axes, as torch.fft.fftn. */
export function fftn(x: Tensor | Complex, { s, axes, norm }: FftnOptions = {}): Complex {
  return transform(x, s, axes ?? lastAxes(x, s), -1, norm);
}

/** The inverse of `fftn`, as torch.fft.ifftn. */
export function ifftn(x: Tensor | Complex, { s, axes, norm }: FftnOptions = {}): Complex {
  return transform(x, s, axes ?? lastAxes(x, s), 1, norm);
}

/** The first half of the Fourier transform of real numbers, as torch.fft.rfft; the other half mirrors it. */
export function rfft(x: Tensor, { n, axis = -1, norm }: FftOptions = {}): Complex {
  if (!(x instanceof Tensor)) {
    throw new TypeError("Cannot transform by rfft(): expected real numbers, got complex ones");
  }
  const whole = fft(x, { n, axis, norm });
  const count = Math.floor(whole.real.shape.at(axis)! / 2) + 1;
  return mapParts(whole, (part) => part.slice(axis, 0, count)) as Complex;
}

/**
 * The inverse of `rfft`, as torch.fft.irfft: n real numbers, by default the even number of them that gives so many
 * frequencies.
 */
export function irfft(x: Tensor | Complex, { n, axis = -1, norm }: FftOptions = {}): Tensor {
  const parts = partsOf(x);
  const length = n ?? 2 * (parts.real.shape[axisIndex(axis, parts.real.rank)]! - 1);
  checkLengths(parts.real, [length]);
  const { back } = rowsAlong(parts.real, axis);
  const half = mapParts(parts, (part) => fitted(rowsAlong(part, axis).rows, Math.floor(length / 2) + 1));
  const mirrored = mapParts(half, (part) => part.slice(1, 1, Math.ceil(length / 2)).flip(1));
  const whole = {
    real: cat([half.real, mirrored.real], 1),
    imag: half.imag && cat([half.imag, mirrored.imag!.neg()], 1), // frequencies below 0 are conjugates
  };
  return back(dftRows(whole, 1).real).mul(scaleOf(length, 1, norm));
}

/** Moves the frequency 0 from the first place to the middle of axes (all by default), as torch.fft.fftshift. */
export function fftshift<T extends Tensor | Complex>(x: T, axes?: number | readonly number[]): T {
  return shifted(x, axes, (n) => Math.floor(n / 2));
}

/** The inverse of `fftshift`. */
export function ifftshift<T extends Tensor | Complex>(x: T, axes?: number | readonly number[]): T {
  return shifted(x, axes, (n) => -Math.floor(n / 2));
}

function shifted<T extends Tensor | Complex>(
  x: T,
  axes: number | readonly number[] | undefined,
  by: (n: number) => number,
): T {
  const move = (part: Tensor) => {
    const moved = axes === undefined ? [...part.shape.keys()] : [axes].flat() as number[];
    return part.roll(moved.map((axis) => by(part.shape[axisIndex(axis, part.rank)]!)), moved);
  };
  return (x instanceof Tensor ? move(x) : mapParts(x, move)) as T;
}

/** The frequencies of a transform of n elements that are d apart, as torch.fft.fftfreq. */
export function fftfreq(n: number, d = 1): Tensor {
  return tensor(Array.from({ length: n }, (_, i) => (i < Math.ceil(n / 2) ? i : i - n) / (n * d)));
}

/** One axis after the other. */
function transform(
  x: Tensor | Complex,
  s: readonly number[] | undefined,
  axes: readonly number[],
  sign: Sign,
  norm: FftNorm | undefined,
): Complex {
  let parts = partsOf(x);
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
    const rows = mapParts(parts, (part) => fitted(rowsAlong(part, axis).rows, lengths[i]!));
    parts = mapParts(dftRows(rows, sign), back);
  });
  const scale = scaleOf(lengths.reduce((product, n) => product * n, 1), sign, norm);
  return mapParts(parts, (part) => part.mul(scale)) as Complex;
}

function lastAxes(x: Tensor | Complex, s: readonly number[] | undefined): number[] {
  const { rank } = x instanceof Tensor ? x : x.real;
  return [...Array(rank).keys()].slice(s ? rank - s.length : 0);
}

function partsOf(x: Tensor | Complex): PerhapsReal {
  return mapParts(x instanceof Tensor ? { real: x } : x, (part) => part.cast("f32"));
}

function checkLengths(x: Tensor, lengths: readonly number[]): void {
  const bad = lengths.find((n) => !Number.isInteger(n) || n < 1);
  if (bad !== undefined) {
    throw new RangeError(`Cannot transform ${x}: expected at least one element along an axis, got ${bad}`);
  }
}

/** Rows cut, or filled up with zeros. */
function fitted(rows: Tensor, n: number): Tensor {
  return n === rows.shape[1] ? rows : rows.pad([0, n - rows.shape[1]!]);
}

function scaleOf(count: number, sign: Sign, norm: FftNorm = "backward"): number {
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
