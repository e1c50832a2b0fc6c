/** The number that 16 bits with so many bits of exponent are, by the definition of IEEE 754. */
export function numberOf(code: number, exponentBits: 5 | 8): number {
  const fractionBits = 15 - exponentBits;
  const bias = 2 ** (exponentBits - 1) - 1;
  const sign = code >> 15 ? -1 : 1;
  const exponent = (code >> fractionBits) & (2 ** exponentBits - 1);
  const fraction = code & (2 ** fractionBits - 1);
  if (exponent === 2 ** exponentBits - 1) return fraction ? NaN : sign * Infinity;
  const significand = fraction / 2 ** fractionBits + (exponent ? 1 : 0);
  return sign * significand * 2 ** (Math.max(exponent, 1) - bias);
}

/** The f16 nearest to a number, of two the even one. */
export function nearestHalf(x: number): number {
  if (!Number.isFinite(x) || x === 0) return x;
  const unit = 2 ** (Math.max(Math.floor(Math.log2(Math.abs(x))), -14) - 10);
  const below = Math.floor(x / unit);
  const rest = x / unit - below;
  const units = rest > 0.5 || (rest === 0.5 && below % 2 !== 0) ? below + 1 : below;
  const rounded = units * unit;
  return Math.abs(rounded) > 65504 ? Math.sign(x) * Infinity : rounded || Math.sign(x) * 0;
}
