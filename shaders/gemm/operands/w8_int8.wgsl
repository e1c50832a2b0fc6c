// Weights packed as int8 by convert/quantize.wgsl, contiguous along k; k and every stride and offset of w, counted in
// elements, are multiples of 32; n is free. 64 elements are 16 words of four, then one word of two f16, the largest
// magnitudes of both halves.
var<storage, read> w: array<u32>;
alias Loaded = vec4u; // two words of four elements, both magnitudes, not 0 where the second one counts
const SHIFT_W: u32 = 3; // columns begin at start << SHIFT_W

/// Channels k to k + 7 of the column that begins at start; beyond the last channel the last ones again: there x is zero.
fn load_w8(z: u32, start: u32, k: u32) -> Loaded {
  let at = start + min(k, params.k - 8) / 8; // in eights, of which a block has 8 and then its magnitudes
  let word = 2 * at + at / 8;
  return vec4u(w[word], w[word + 1], w[2 * (at | 7) + at / 8 + 2], at & 4);
}

/// The values, two to a word; a packed word holds four as fractions of 127. Two bytes at a time become f16 without a
/// conversion: 0x6400 is 1024, whose last bit counts 1. Off by 2^-10 at most: a magnitude is rounded, and a product.
fn halves(loaded: Loaded) -> vec4u {
  let magnitudes = bitcast<vec2h>(loaded.z);
  let magnitude = select(magnitudes.x, magnitudes.y, loaded.w != 0);
  let largest = min(fma(magnitude, 1.0h / 127, magnitude), 65504); // 128 / 127 of it, where f16 has that
  return vec4u(four_halves(loaded.x ^ 0x80808080, largest), four_halves(loaded.y ^ 0x80808080, largest));
}

/// Four bytes, 128 too many each, as fractions of 128 times `largest`.
fn four_halves(bytes: u32, largest: f16) -> vec2u {
  let even = fma(bitcast<vec2h>((bytes & 0xff00ff) | 0x64006400), vec2h(1.0h / 128), vec2h(-9)) * largest;
  let odd = fma(bitcast<vec2h>(((bytes >> 8) & 0xff00ff) | 0x64006400), vec2h(1.0h / 128), vec2h(-9)) * largest;
  return vec2u(bitcast<u32>(vec2h(even.x, odd.x)), bitcast<u32>(vec2h(even.y, odd.y)));
}
