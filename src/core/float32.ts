const f = Math.fround;

/** 2^(j/128): its f32, and the f32 of what that lost. */
const POWERS = Array.from({ length: 128 }, (_, j) => 2 ** (j / 128));
const HIGH = POWERS.map(f);
const LOW = POWERS.map((power, j) => f(power - HIGH[j]!));

/** ln 2 / 128 in two parts; multiples of the first, which has nine bits, are exact. */
const LN2_HIGH = 355 / 65536;
const LN2_LOW = f(Math.LN2 / 128 - LN2_HIGH);
const INVERSE = f(128 / Math.LN2);
/** f32 sums with it drop all digits behind the point, ties to even. */
const ROUND = 1.5 * 2 ** 23;
/** Beyond ±this, the smaller of eˣ and e⁻ˣ is subnormal. */
const LIMIT = 126 * Math.LN2;

/**
 * eˣ in f32 as torch's CPU computes it, not correctly rounded: eˣ = 2^(m/128) · eʳ with the table above (Tang
 * 1989, https://doi.org/10.1145/63522.214389) and eʳ ≈ 1 + r + r²/2, every step rounded to f32. About one
 * result in a hundred is the second nearest f32, which timestep features then multiply by thousands. The
 * constants were inferred from results alone and give torch 2.15's bits (x86-64 wheel, MKL 2024.2, on AMD Zen
 * 5) for each of the 2³² arguments.
 */
export function expf(x: number): number {
  const a = f(x);
  if (!(Math.abs(a) < LIMIT)) return f(Math.exp(a)); // NaN too
  const m = f(f(a * INVERSE) + ROUND) - ROUND;
  const r = f(f(a - m * LN2_HIGH) - f(m * LN2_LOW));
  const p = f(r + f(r * r) / 2); // eʳ − 1
  const j = m & 127;
  return f(HIGH[j]! + f(f(HIGH[j]! * p) + LOW[j]!)) * 2 ** (m >> 7);
}

/** Intervals in which the processor's estimate of 1/√x is constant: so many between two powers of two. */
const INTERVALS = 1024;

/**
 * √x in f32 as torch's CPU computes it for tensors where MKL takes its code for any processor (on AMD), not
 * correctly rounded: from the estimate of 1/√x that rsqrtps gives, which is that of the middle of an interval
 * in 13 bits, by Newton's step and a correction, every step rounded to f32. About one result in six is the
 * second nearest f32. It was inferred from results alone and gives torch 2.13's bits (MKL_CBWR=COMPATIBLE, on
 * an Intel processor) for each of the 2²⁴ arguments from 1 to 4; 4 and powers of two scale it exactly. AMD's
 * own estimates differ in places, and on Intel's processors MKL takes other code: there 4 in a thousand are
 * not the nearest.
 */
export function sqrtf(x: number): number {
  const a = f(x);
  if (!(a > 0 && a < Infinity)) return Math.sqrt(a); // NaN too
  const even = 2 * Math.floor(Math.log2(a) / 2);
  const scaled = a / 2 ** even; // from 1 to 4, up to the rounding of the logarithm
  const unit = 2 ** Math.floor(Math.log2(scaled)) / INTERVALS;
  const middle = (Math.floor(scaled / unit) + 0.5) * unit;
  const estimate = Math.round(2 ** 13 / Math.sqrt(middle)) / 2 ** 13;
  const s = f(scaled * estimate);
  const root = f(s + f(s * (0.5 * f(1 - f(s * estimate)))));
  const rest = f(scaled - f(root * root));
  return f(root + f(rest * (0.5 * estimate))) * 2 ** (even / 2);
}
