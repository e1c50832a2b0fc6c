// Weights packed as int4 by shaders/quantize.wgsl, contiguous along k; k and every stride and offset of w, counted in
// elements, are multiples of 32; n is free. 64 elements are 8 words of eight, then one word of two f16, the steps of both
// halves.
var<storage, read> w: array<u32>;
alias Loaded = vec3u; // a word of eight elements, both steps, not 0 where the second one counts
const SHIFT_W: u32 = 0; // columns begin at start << SHIFT_W

/// Channels k to k + 7 of the column that begins at start; beyond the last channel the last ones again: there x is zero.
fn load_w8(z: u32, start: u32, k: u32) -> Loaded {
  let at = start + min(k, params.k - 8);
  let block = at / 64 * 9;
  return vec3u(w[block + at % 64 / 8], w[block + 8], at & 32);
}

/// The values in f16, two to a word; a nibble holds a number of steps, 8 too many.
fn halves(loaded: Loaded) -> vec4u {
  let steps = unpack2x16float(loaded.y);
  let step = select(steps.x, steps.y, loaded.z != 0);
  let low = (vec4u(loaded.x) >> vec4u(0, 4, 8, 12)) & vec4u(15);
  let high = (vec4u(loaded.x) >> vec4u(16, 20, 24, 28)) & vec4u(15);
  return vec4u(
    bitcast<vec2u>(vec4h((vec4f(low) - 8) * step)),
    bitcast<vec2u>(vec4h((vec4f(high) - 8) * step)),
  );
}
