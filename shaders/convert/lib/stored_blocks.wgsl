// GGUF's plain types: blocks of 32 elements q with a scale d and in some a least value m in f16: d q + m. Of two elements
// in a byte the low bits are of the first half of the block. Products are exact in f32, so the sum is the one rounding,
// with or without a fused multiply-add, as in src/io/formats/gguf/blocks.ts.
// kind: 0 Q4_0, 1 Q4_1, 2 Q5_0, 3 Q5_1, 4 Q8_0. With convert/lib/stored.wgsl.
const BLOCK_BYTES = array<u32, 5>(18u, 20u, 22u, 24u, 34u);

fn bits_of(i: u32) -> u32 {
  let at = i / 32u * BLOCK_BYTES[params.kind];
  let lane = i % 32u;
  let d = half_at(at);
  if (params.kind == 4u) { return bitcast<u32>(d * f32(signed_byte(at + 2u + lane))); }
  let has_least = params.kind % 2u; // two bytes behind d
  let has_fifth = params.kind / 2u; // four bytes of fifth bits behind these
  let fifths = at + 2u + 2u * has_least;
  var q = (byte_of(fifths + 4u * has_fifth + lane % 16u) >> (lane / 16u * 4u)) & 15u;
  if (has_fifth == 1u) { q |= ((byte_of(fifths + lane / 8u) >> (lane % 8u)) & 1u) << 4u; }
  if (has_least == 1u) { return bitcast<u32>(d * f32(q) + half_at(at + 2u)); }
  return bitcast<u32>(d * (f32(q) - select(8.0, 16.0, has_fifth == 1u)));
}
