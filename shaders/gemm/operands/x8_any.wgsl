// The shared operand x in f16, element by element: any k, strides and offsets.
var<storage, read> x: array<f16>;
const SHIFT_X: u32 = 0; // rows begin at start << SHIFT_X

/// Channels k to k + 7 of the row that begins at start, two to a word; those beyond the last are zero.
fn load_x8(start: u32, k: u32) -> vec4u {
  return vec4u(load_x2(start, k), load_x2(start, k + 2), load_x2(start, k + 4), load_x2(start, k + 6));
}

fn load_x2(start: u32, k: u32) -> u32 {
  return bitcast<u32>(vec2h(load_x1(start, k), load_x1(start, k + 1)));
}

fn load_x1(start: u32, k: u32) -> f16 {
  return select(0.0h, x[start + min(k, params.k - 1)], k < params.k);
}
