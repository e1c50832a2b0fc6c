import type { Shape } from "../../core/shape.ts";
import { cat, tensor } from "../../tensor/mod.ts";
import { type Complex, complexProduct, mapParts, type PerhapsReal } from "./complex.ts";
import { matmul } from "../matmul.ts";

/** 1 for Σ x·e⁺ⁱ…, the inverse transform; -1 for the forward one. */
export type Sign = 1 | -1;

const DIRECT = 64; // elements that one matrix product transforms
const DIRECT_PRIME = 256; // where the length has no factors to split by

/**
 * The discrete Fourier transform of each row, not scaled, of any length: one product with the matrix of the transform
 * where that is small, else split into two by factors of the length (Cooley & Tukey 1965), or for long primes as a
 * convolution (Bluestein 1970). x [R, N] → [R, N].
 */
export function dftRows(x: PerhapsReal, sign: Sign): Complex {
  const n = x.real.shape[1]!;
  const factor = n <= DIRECT ? 1 : largestFactor(n);
  if (factor > 1) return split(x, factor, n / factor, sign);
  return n <= DIRECT_PRIME ? direct(x, sign) : asConvolution(x, sign);
}

/** The largest factor of n that is at most its root. */
function largestFactor(n: number): number {
  let factor = Math.floor(Math.sqrt(n));
  while (n % factor !== 0) factor--;
  return factor;
}

/** x · W, all real and imaginary rows in one product with [cos | sin]. */
function direct({ real, imag }: PerhapsReal, sign: Sign): Complex {
  const [R, n] = real.shape as Shape<2>;
  const table = roots(n, sign);
  const matrix = new Float32Array(2 * n * n);
  for (let j = 0; j < n; j++) {
    for (let k = 0; k < n; k++) {
      matrix[2 * n * j + k] = table[2 * (j * k % n)]!;
      matrix[2 * n * j + n + k] = table[2 * (j * k % n) + 1]!;
    }
  }
  const product = matmul(imag ? cat([real, imag]) : real, tensor(matrix, [n, 2 * n]));
  const part = (row: number, column: number) =>
    product.slice(0, row * R, (row + 1) * R).slice(1, column * n, (column + 1) * n);
  if (!imag) return { real: part(0, 0), imag: part(0, 1) };
  return { real: part(0, 0).sub(part(1, 1)), imag: part(0, 1).add(part(1, 0)) };
}

/** Element j1·b + j2 in, k1 + a·k2 out: transforms of length a, factors e^(±2πi·k1·j2/n), transforms of length b. */
function split(x: PerhapsReal, a: number, b: number, sign: Sign): Complex {
  const R = x.real.shape[0]!;
  const columns = mapParts(x, (part) => part.reshape([R, a, b]).permute([0, 2, 1]).reshape([R * b, a]));
  const inner = dftRows(columns, sign); // [R · j2, k1]
  const table = roots(a * b, sign);
  const twiddles = Float32Array.from({ length: 2 * a * b }, (_, i) => {
    const place = i >> 1;
    return table[2 * (place % a) * Math.floor(place / a) + (i & 1)]!; // [j2, k1, real or imaginary]
  });
  const twiddled = complexProduct(
    mapParts(inner, (part) => part.reshape([R, b, a])),
    complexTable(twiddles, [b, a]),
  );
  const rows = mapParts(twiddled, (part) => part.permute([0, 2, 1]).reshape([R * a, b]));
  const outer = dftRows(rows, sign); // [R · k1, k2]
  return mapParts(outer, (part) => part.reshape([R, a, b]).permute([0, 2, 1]).reshape([R, a * b])) as Complex;
}

/** With jk = (j² + k² − (k − j)²) / 2 the transform is a convolution, which goes through transforms of a power of two. */
function asConvolution(x: PerhapsReal, sign: Sign): Complex {
  const n = x.real.shape[1]!;
  const long = 2 ** Math.ceil(Math.log2(2 * n - 1));
  const half = roots(2 * n, sign);
  const chirp = new Float32Array(2 * n);
  const kernel = new Float32Array(2 * long); // conj(chirp) at 0, ±1, …
  for (let j = 0; j < n; j++) {
    const at = j * j % (2 * n);
    chirp.set([half[2 * at]!, half[2 * at + 1]!], 2 * j);
    kernel.set([half[2 * at]!, -half[2 * at + 1]!], 2 * j);
    if (j > 0) kernel.set([half[2 * at]!, -half[2 * at + 1]!], 2 * (long - j));
  }
  const waves = complexTable(chirp, [1, n]);
  const filled = mapParts(complexProduct(x, waves), (part) => part.pad([0, long - n]));
  const spectrum = complexProduct(dftRows(filled, -1), dftRows(complexTable(kernel, [1, long]), -1));
  const sums = mapParts(dftRows(spectrum, 1), (part) => part.slice(1, 0, n).div(long));
  return complexProduct(sums, waves);
}

/** e^(±2πi·k/n) for k < n, real and imaginary parts alternating. */
function roots(n: number, sign: Sign): Float64Array {
  const result = new Float64Array(2 * n);
  for (let k = 0; k < n; k++) {
    result[2 * k] = exactZero(Math.cos(2 * Math.PI * k / n));
    result[2 * k + 1] = sign * exactZero(Math.sin(2 * Math.PI * k / n));
  }
  return result;
}

/** 0 for what is only the error of π in a double: frequencies that are absent stay so. */
function exactZero(x: number): number {
  return Math.abs(x) < 1e-15 ? 0 : x;
}

/** Alternating real and imaginary parts as two tensors. */
function complexTable(pairs: Float32Array, shape: Shape): Complex {
  const part = (offset: 0 | 1) =>
    tensor(Float32Array.from({ length: pairs.length / 2 }, (_, i) => pairs[2 * i + offset]!), shape);
  return { real: part(0), imag: part(1) };
}
