// Three weights [n, k] in f16 of one shape for products with the same x, z being the number of the weight; read eight
// channels at a time: k and every stride and offset, which all three have in common, are multiples of 8; n is free.
var<storage, read> w0: array<vec4u>;
var<storage, read> w1: array<vec4u>;
var<storage, read> w2: array<vec4u>;
alias Loaded = vec4u;
const SHIFT_W: u32 = 3; // columns begin at start << SHIFT_W

/// Channels k to k + 7 of the column that begins at start; beyond the last channel the last ones again: there x is zero.
fn load_w8(z: u32, start: u32, k: u32) -> Loaded {
  let at = start + min(k, params.k - 8) / 8;
  if (z == 0) {
    return w0[at];
  }
  if (z == 1) {
    return w1[at];
  }
  return w2[at];
}

/// The values, two to a word.
fn halves(loaded: Loaded) -> vec4u {
  return loaded;
}
