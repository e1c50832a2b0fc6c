// The shared operand x in f16, eight channels at a time: k and every stride and offset of x are multiples of 8.
var<storage, read> x: array<vec4u>;
const SHIFT_X: u32 = 3; // rows begin at start << SHIFT_X

/// Channels k to k + 7 of the row that begins at start, two to a word; anything where k is beyond the last.
fn load_x8(start: u32, k: u32) -> vec4u {
  return x[start + min(k, params.k - 8) / 8];
}
