/**
 * Numbers of eight bits (Micikevicius et al. 2022, https://arxiv.org/abs/2209.05433): a sign, an exponent and
 * a mantissa, with subnormals. E5M2 has infinities like wider types; E4M3 has none, and of its codes only 7F
 * and FF are NaN, as in torch's float8_e4m3fn.
 */
export type Float8 = "F8_E4M3" | "F8_E5M2";

/** The numbers that the 256 codes of a type stand for. */
export const FLOAT8: Readonly<Record<Float8, Float32Array<ArrayBuffer>>> = {
  F8_E4M3: Float32Array.from({ length: 256 }, (_, code) => numberOf(code, { mantissa: 3, bias: 7 })),
  F8_E5M2: Float32Array.from({ length: 256 }, (_, code) => numberOf(code, { mantissa: 2, bias: 15 })),
};

function numberOf(code: number, { mantissa: bits, bias }: { mantissa: number; bias: number }): number {
  const sign = code & 0x80 ? -1 : 1;
  const exponent = (code & 0x7f) >> bits;
  const fraction = (code & 0x7f) % 2 ** bits / 2 ** bits;
  const last = exponent === 2 ** (7 - bits) - 1;
  if (bits === 3 && last && fraction === 7 / 8) return NaN;
  if (bits === 2 && last) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1 + fraction) * 2 ** (exponent - bias) : fraction * 2 ** (1 - bias));
}
