import { expectOptions } from "../../core/error.ts";
import { axisIndex } from "../../core/shape.ts";
import { Tensor, tensor } from "../../tensor/mod.ts";
import { type Complex, mapParts } from "./complex.ts";
import { type FftNorm, lastAxes, transform } from "./transform.ts";

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

/** The names of FftOptions. */
export const ALONG_ONE = ["n", "axis", "norm"] as const;
/** The names of FftnOptions. */
export const ALONG_SEVERAL = ["s", "axes", "norm"] as const;

/** The Fourier transform along an axis, as torch.fft.fft, of any length. */
export function fft(x: Tensor | Complex, options: FftOptions = {}): Complex {
  expectOptions("transform", options, ALONG_ONE);
  const { n, axis = -1, norm } = options;
  return transform(x, n === undefined ? undefined : [n], [axis], -1, norm);
}

/** The inverse of `fft`, as torch.fft.ifft. */
export function ifft(x: Tensor | Complex, options: FftOptions = {}): Complex {
  expectOptions("transform", options, ALONG_ONE);
  const { n, axis = -1, norm } = options;
  return transform(x, n === undefined ? undefined : [n], [axis], 1, norm);
}

/** The Fourier transform along the last two axes, as torch.fft.fft2. */
export function fft2(x: Tensor | Complex, options: FftnOptions = {}): Complex {
  expectOptions("transform", options, ALONG_SEVERAL);
  const { s, axes = [-2, -1], norm } = options;
  return transform(x, s, axes, -1, norm);
}

/** The inverse of `fft2`, as torch.fft.ifft2. */
export function ifft2(x: Tensor | Complex, options: FftnOptions = {}): Complex {
  expectOptions("transform", options, ALONG_SEVERAL);
  const { s, axes = [-2, -1], norm } = options;
  return transform(x, s, axes, 1, norm);
}

/** The Fourier transform along several axes, as torch.fft.fftn. */
export function fftn(x: Tensor | Complex, options: FftnOptions = {}): Complex {
  expectOptions("transform", options, ALONG_SEVERAL);
  const { s, axes, norm } = options;
  return transform(x, s, axes ?? lastAxes(x, s), -1, norm);
}

/** The inverse of `fftn`, as torch.fft.ifftn. */
export function ifftn(x: Tensor | Complex, options: FftnOptions = {}): Complex {
  expectOptions("transform", options, ALONG_SEVERAL);
  const { s, axes, norm } = options;
  return transform(x, s, axes ?? lastAxes(x, s), 1, norm);
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
