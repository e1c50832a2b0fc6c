const [LN2_HIGH, LN2_LOW] = [6.9314718036912382e-1, 1.9082149292705877e-10];
/**
 * Minimax coefficients of log((1 + s) / (1 − s)) / s − 2 in powers of s²,
 * s = f / (2 + f), as fdlibm publishes them.
 */
const [P1, P2, P3, P4, P5, P6, P7] = [
  6.666666666666735130e-1,
  3.999999999940941908e-1,
  2.857142874366239149e-1,
  2.222219843214978396e-1,
  1.818357216161805012e-1,
  1.531383769920937332e-1,
  1.479819860511658591e-1,
];
const bits = new DataView(new ArrayBuffer(8));

/**
 * log(1 + x) for −1 < x ≤ 0 with the roundings of glibc, on which torch's normal values of less than 16 draws
 * rest: Math.log1p differs from it in the last bit of one value in twelve.
 */
export function log1p(x: number): number {
  if (x > -(2 ** -29)) return x > -(2 ** -54) ? x : x - x * x * 0.5;
  let [k, f, rest] = [0, x, 0]; // 1 + x = 2^k · (1 + f), rest makes up for the rounding of 1 + x
  if (x <= -0.29289627075195312) {
    const u = 1 + x;
    bits.setFloat64(0, u);
    const high = bits.getInt32(0);
    k = (high >> 20) - 1023;
    rest = (x - (u - 1)) / u;
    if ((high & 0xfffff) >= 0x6a09e) k++; // 1 + f lies between √½ and √2
    f = u / 2 ** k - 1;
    if (f === 0) return k * LN2_HIGH + (rest + k * LN2_LOW);
  }
  const half = 0.5 * f * f;
  const s = f / (2 + f);
  const z = s * s;
  const [z2, z4] = [z * z, z * z * (z * z)];
  const sum = z * P1 + z2 * (P2 + z * P3) + z4 * (P4 + z * P5) + z4 * z2 * (P6 + z * P7);
  if (k === 0) return f - (half - s * (half + sum));
  return k * LN2_HIGH - ((half - (s * (half + sum) + (k * LN2_LOW + rest))) - f);
}
