// Weights in f16, contiguous along k and read eight channels at a time: k and every stride and offset of w are multiples
// of 8; n is free.
var<storage, read> w: array<vec4u>;
alias Loaded = vec4u;
const SHIFT_W: u32 = 3; // columns begin at start << SHIFT_W

/// Channels k to k + 7 of the column that begins at start; beyond the last channel the last ones again: there x is zero.
fn load_w8(z: u32, start: u32, k: u32) -> Loaded {
  return w[start + min(k, params.k - 8) / 8];
}

/// The values, two to a word.
fn halves(loaded: Loaded) -> vec4u {
  return loaded;
}
