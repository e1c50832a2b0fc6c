// Weights in f16, element by element: any n, k, strides and offsets, in either order.
var<storage, read> w: array<f16>;
alias Loaded = vec4u;
const SHIFT_W: u32 = 0; // columns begin at start << SHIFT_W

/// Channels k to k + 7 of the column that begins at start; beyond the last channel that one again: there x is zero.
fn load_w8(z: u32, start: u32, k: u32) -> Loaded {
  return vec4u(load_w2(start, k), load_w2(start, k + 2), load_w2(start, k + 4), load_w2(start, k + 6));
}

fn load_w2(start: u32, k: u32) -> u32 {
  let at = start + min(vec2u(k, k + 1), vec2u(params.k - 1)) * channel_step();
  return bitcast<u32>(vec2h(w[at.x], w[at.y]));
}

/// The values, two to a word.
fn halves(loaded: Loaded) -> vec4u {
  return loaded;
}
