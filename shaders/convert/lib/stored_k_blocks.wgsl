// GGUF's K types: blocks of 256 elements in groups of 16 or 32, whose scales and least values are small integers
// themselves, with one d and one dmin in f16 a block: d scale q - dmin least. Products are exact in f32, so the difference
// is the one rounding, with or without a fused multiply-add. The layouts are those of src/io/formats/gguf/blocks.ts.
// kind: 0 Q2_K, 1 Q3_K, 2 Q4_K, 3 Q5_K, 4 Q6_K. With convert/lib/stored.wgsl.
const BLOCK_BYTES = array<u32, 5>(84u, 110u, 144u, 176u, 210u);

fn bits_of(i: u32) -> u32 {
  let at = i / 256u * BLOCK_BYTES[params.kind];
  let lane = i % 256u;
  var y: f32;
  switch (params.kind) {
    case 0u: { y = q2_k(at, lane); }
    case 1u: { y = q3_k(at, lane); }
    case 4u: { y = q6_k(at, lane); }
    default: { y = q45_k(at, lane); }
  }
  return bitcast<u32>(y);
}

fn q2_k(at: u32, lane: u32) -> f32 {
  let scales = byte_of(at + lane / 16u);
  let q = (byte_of(at + 16u + lane / 128u * 32u + lane % 32u) >> (lane / 32u % 4u * 2u)) & 3u;
  return half_at(at + 80u) * f32(scales & 15u) * f32(q) - half_at(at + 82u) * f32(scales >> 4u);
}

fn q3_k(at: u32, lane: u32) -> f32 {
  let group = lane / 16u;
  let low = (byte_of(at + 96u + group % 8u) >> (group / 8u * 4u)) & 15u;
  let high = (byte_of(at + 104u + group % 4u) >> (group / 4u * 2u)) & 3u;
  let scale = i32(low | (high << 4u)) - 32;
  let third = (byte_of(at + lane % 32u) >> (lane / 32u)) & 1u; // inverted
  let q = (byte_of(at + 32u + lane / 128u * 32u + lane % 32u) >> (lane / 32u % 4u * 2u)) & 3u;
  return half_at(at + 108u) * f32(scale) * f32(i32(q) - select(4, 0, third == 1u));
}

/// Q5_K is Q4_K with 32 bytes of fifth bits in front of the elements.
fn q45_k(at: u32, lane: u32) -> f32 {
  let fifths = (params.kind - 2u) * 32u;
  let group = lane / 32u;
  let scales = at + 4u;
  var scale = byte_of(scales + group) & 63u;
  var least = byte_of(scales + 4u + group);
  if (group < 4u) {
    least &= 63u;
  } else { // the last four are split: their upper two bits lie above the first four
    let both = least;
    scale = (both & 15u) | ((byte_of(scales + group - 4u) >> 6u) << 4u);
    least = (both >> 4u) | ((byte_of(scales + group) >> 6u) << 4u);
  }
  var q = (byte_of(at + 16u + fifths + lane / 64u * 32u + lane % 32u) >> (group % 2u * 4u)) & 15u;
  if (fifths > 0u) { q |= ((byte_of(at + 16u + lane % 32u) >> group) & 1u) << 4u; }
  return half_at(at) * f32(scale) * f32(q) - half_at(at + 2u) * f32(least);
}

fn q6_k(at: u32, lane: u32) -> f32 {
  let half = lane / 128u;
  let quarter = lane / 32u % 4u;
  let low = (byte_of(at + half * 64u + quarter % 2u * 32u + lane % 32u) >> (quarter / 2u * 4u)) & 15u;
  let high = (byte_of(at + 128u + half * 32u + lane % 32u) >> (quarter * 2u)) & 3u;
  let scale = signed_byte(at + 192u + lane / 16u);
  return half_at(at + 208u) * f32(scale) * f32(i32(low | (high << 4u)) - 32);
}
