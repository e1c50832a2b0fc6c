/**
 * The f32 logarithm, sine and cosine of Cephes (Moshier 1989) in the vectorised form that torch's CPU kernels
 * use (aten/src/ATen/native/cpu/avx_mathfun.h), rounded where that rounds: `randn` owes its last bits to
 * them.
 */

const f32 = Math.fround;

const LOG = [
  7.0376836292e-2,
  -1.1514610310e-1,
  1.1676998740e-1,
  -1.2420140846e-1,
  1.4249322787e-1,
  -1.6668057665e-1,
  2.0000714765e-1,
  -2.4999993993e-1,
  3.3333331174e-1,
].map(f32);
const [LN2_LOW, LN2_HIGH] = [-2.12194440e-4, 0.693359375].map(f32) as [number, number];
const SQRT_HALF = f32(Math.SQRT1_2);

const SIN = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1].map(f32);
const COS = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2].map(f32);
const FOUR_OVER_PI = f32(4 / Math.PI);
/** π / 4 in three parts, so that multiples of it leave an angle without rounding. */
const QUARTER_PI = [0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8].map(f32);

const word = new Uint32Array(1);
const float = new Float32Array(word.buffer);

/** ln x for a normal f32 above 0. */
export function logF32(x: number): number {
  float[0] = x;
  let exponent = (word[0]! >>> 23) - 126;
  word[0] = (word[0]! & 0x7fffff) | 0x3f000000; // the mantissa in [0.5, 1)
  let m = float[0];
  if (m < SQRT_HALF) [m, exponent] = [2 * m, exponent - 1];
  m = f32(m - 1);

  const square = f32(m * m);
  let y = f32(polynomial(LOG, m) * m);
  y = fma(y, square, f32(exponent * LN2_LOW));
  y = fma(square, -0.5, y);
  return fma(exponent, LN2_HIGH, f32(m + y));
}

/** [sin x, cos x] for an f32 from 0. */
export function sinCosF32(x: number): [number, number] {
  const octant = (Math.trunc(f32(x * FOUR_OVER_PI)) + 1) & ~1;
  let angle = x; // from the nearest multiple of π / 2
  for (const part of QUARTER_PI) angle = fma(-octant, part, angle);

  const square = f32(angle * angle);
  const sine = fma(f32(polynomial(SIN, square) * square), angle, angle);
  const cosine = f32(fma(f32(polynomial(COS, square) * square), square, -0.5 * square) + 1);
  const [sin, cos] = (octant & 2) === 0 ? [sine, cosine] : [cosine, sine];
  return [octant & 4 ? -sin : sin, (octant + 2) & 4 ? -cos : cos];
}

/** Horner's rule with fused steps, highest power first. */
function polynomial(coefficients: readonly number[], x: number): number {
  return coefficients.reduce((y, c) => fma(y, x, c));
}

/** a · b + c, rounded once: the product of two f32 is exact in double precision. */
function fma(a: number, b: number, c: number): number {
  return f32(a * b + c);
}
