import { expectOptions } from "../../core/error.ts";
import { axisIndex } from "../../core/shape.ts";
import { cat, rowsAlong, Tensor, tensor } from "../../tensor/mod.ts";
import { type Complex, mapParts } from "./complex.ts";
import { dftRows } from "./dft.ts";
import { ALONG_ONE, ALONG_SEVERAL, fft, type FftnOptions, type FftOptions } from "./fft.ts";
import { checkLengths, complexParts, cutOrPad, lastAxes, scaleOf, transform } from "./transform.ts";

/** The first half of the Fourier transform of real numbers, as torch.fft.rfft; the other half mirrors it. */
export function rfft(x: Tensor, options: FftOptions = {}): Complex {
  expectOptions("transform", options, ALONG_ONE);
  const { n, axis = -1, norm } = options;
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
export function irfft(x: Tensor | Complex, options: FftOptions = {}): Tensor {
  expectOptions("transform", options, ALONG_ONE);
  const { n, axis = -1, norm } = options;
  const parts = complexParts(x);
  const length = n ?? 2 * (parts.real.shape[axisIndex(axis, parts.real.rank)]! - 1);
  checkLengths(parts.real, [length]);
  const { back } = rowsAlong(parts.real, axis);
  const half = mapParts(parts, (part) => cutOrPad(rowsAlong(part, axis).rows, Math.floor(length / 2) + 1));
  const mirrored = mapParts(half, (part) => part.slice(1, 1, Math.ceil(length / 2)).flip(1));
  const whole = {
    real: cat([half.real, mirrored.real], 1),
    imag: half.imag && cat([half.imag, mirrored.imag!.neg()], 1), // frequencies below 0 are conjugates
  };
  return back(dftRows(whole, 1).real).mul(scaleOf(length, 1, norm));
}

/** `rfft` along the last axis, then `fft` along the one before it, as torch.fft.rfft2. */
export function rfft2(x: Tensor, options: FftnOptions = {}): Complex {
  expectOptions("transform", options, ALONG_SEVERAL);
  const { s, axes = [-2, -1], norm } = options;
  return rfftn(x, { s, axes, norm });
}

/** The inverse of `rfft2`, as torch.fft.irfft2. */
export function irfft2(x: Tensor | Complex, options: FftnOptions = {}): Tensor {
  expectOptions("transform", options, ALONG_SEVERAL);
  const { s, axes = [-2, -1], norm } = options;
  return irfftn(x, { s, axes, norm });
}

/** `rfft` along the last of several axes, then `fft` along the others, as torch.fft.rfftn. */
export function rfftn(x: Tensor, options: FftnOptions = {}): Complex {
  expectOptions("transform", options, ALONG_SEVERAL);
  const { s, axes, norm } = options;
  const order = axes ?? lastAxes(x, s);
  const half = rfft(x, { n: s?.at(-1), axis: order.at(-1), norm });
  return order.length > 1 ? transform(half, s?.slice(0, -1), order.slice(0, -1), -1, norm) : half;
}

/** The inverse of `rfftn`, as torch.fft.irfftn: real numbers, by default an even number of them along the last axis. */
export function irfftn(x: Tensor | Complex, options: FftnOptions = {}): Tensor {
  expectOptions("transform", options, ALONG_SEVERAL);
  const { s, axes, norm } = options;
  const order = axes ?? lastAxes(x, s);
  const half = order.length > 1 ? transform(x, s?.slice(0, -1), order.slice(0, -1), 1, norm) : x;
  return irfft(half, { n: s?.at(-1), axis: order.at(-1), norm });
}

/** The frequencies of `rfft` of n elements that are d apart, as torch.fft.rfftfreq. */
export function rfftfreq(n: number, d = 1): Tensor {
  return tensor(Array.from({ length: Math.floor(n / 2) + 1 }, (_, i) => i / (n * d)));
}
