// Elements that are stored one by one. kind: 0 F32, 1 F16, 2 BF16, 3 F8_E4M3, 4 F8_E5M2. With convert/lib/stored.wgsl.

/// A number of four bits of exponent and three of mantissa, biased by 7: no infinity, one NaN of each sign.
fn from_e4m3(code: u32) -> u32 {
  let sign = (code & 0x80u) << 24u;
  let rest = code & 0x7fu;
  if (rest == 0x7fu) { return sign | 0x7fc00000u; }
  if (rest < 8u) { return sign | bitcast<u32>(f32(rest) * 0.001953125); } // subnormal: units of 2^-9
  return sign | ((rest << 20u) + (120u << 23u));
}

fn bits_of(i: u32) -> u32 {
  switch (params.kind) {
    case 0u: { return words[i]; }
    case 2u: { return half_word(i) << 16u; }
    case 3u: { return from_e4m3(byte_of(i)); }
    case 4u: { return from_half(byte_of(i) << 8u); }
    default: { return from_half(half_word(i)); }
  }
}
