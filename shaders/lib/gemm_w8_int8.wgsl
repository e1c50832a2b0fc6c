// Weights packed as int8 by shaders/quantize.wgsl, contiguous along k; k and every stride and offset of w, counted in
// elements, are multiples of 32; n is free. 64 elements are 16 words of four, then one word of two f16, the largest
// magnitudes of both halves.
var<storage, read> w: array<u32>;
alias Loaded = vec4u; // two words of four elements, both magnitudes, not 0 where the second one counts
const SHIFT_W: u32 = 0; // columns begin at start << SHIFT_W

/// Channels k to k + 7 of the column that begins at start; beyond the last channel the last ones again: there x is zero.
fn load_w8(z: u32, start: u32, k: u32) -> Loaded {
  let at = start + min(k, params.k - 8);
  let block = at / 64 * 17;
  let word = block + at % 64 / 4;
  return vec4u(w[word], w[word + 1], w[block + 16], at & 32);
}

/// The values in f16, two to a word; a packed word holds four as fractions of 127.
fn halves(loaded: Loaded) -> vec4u {
  let magnitudes = unpack2x16float(loaded.z);
  let largest = select(magnitudes.x, magnitudes.y, loaded.w != 0);
  let low = vec4h(unpack4x8snorm(loaded.x) * largest);
  let high = vec4h(unpack4x8snorm(loaded.y) * largest);
  return vec4u(bitcast<vec2u>(low), bitcast<vec2u>(high));
}
