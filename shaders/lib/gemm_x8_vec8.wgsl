// The shared operand x in f16, eight channels at a time: k and every stride and offset of x are multiples of 8.
var<storage, read> x: array<vec4u>;

/// Channels k to k + 7 of the row that begins at start, two to a word. Anything in the padding (start < 0) and beyond the
/// last channel.
fn load_x8(start: i32, k: u32) -> vec4u {
  return x[(u32(max(start, 0)) + min(k, params.k - 8)) / 8];
}
