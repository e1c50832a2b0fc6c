// Weights packed as int4 by convert/quantize.wgsl, contiguous along k; k and every stride and offset of w, counted in
// elements, are multiples of 32; n is free. 64 elements are 8 words of eight, then one word of two f16, the steps of both
// halves.
var<storage, read> w: array<u32>;
alias Loaded = vec3u; // a word of eight elements, both steps, not 0 where the second one counts
const SHIFT_W: u32 = 3; // columns begin at start << SHIFT_W

/// Channels k to k + 7 of the column that begins at start; beyond the last channel the last ones again: there x is zero.
fn load_w8(z: u32, start: u32, k: u32) -> Loaded {
  let at = start + min(k, params.k - 8) / 8; // in eights, of which a block has 8 and then its steps
  return vec3u(w[at + at / 8], w[(at | 7) + at / 8 + 1], at & 4);
}

/// The values, two to a word; a nibble holds a number of steps, 8 too many. Two nibbles at a time become f16 without a
/// conversion: 0x6400 is 1024, whose last bit counts 1.
fn halves(loaded: Loaded) -> vec4u {
  let steps = bitcast<vec2h>(loaded.y);
  let step = select(steps.x, steps.y, loaded.z != 0);
  let a = two_steps(loaded.x) * step;
  let b = two_steps(loaded.x >> 4) * step;
  let c = two_steps(loaded.x >> 8) * step;
  let d = two_steps(loaded.x >> 12) * step;
  return vec4u(
    bitcast<u32>(vec2h(a.x, b.x)),
    bitcast<u32>(vec2h(c.x, d.x)),
    bitcast<u32>(vec2h(a.y, b.y)),
    bitcast<u32>(vec2h(c.y, d.y)),
  );
}

/// The steps in nibbles 0 and 4.
fn two_steps(nibbles: u32) -> vec2h {
  return bitcast<vec2h>((nibbles & 0xf000f) | 0x64006400) - 1032;
}
