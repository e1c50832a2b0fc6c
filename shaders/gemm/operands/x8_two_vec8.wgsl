// The shared operand in two, x and x1, in f16, eight channels at a time: k and every stride and offset are multiples of 8,
// and x1 has the indices from params.seam on.
var<storage, read> x: array<vec4u>;
var<storage, read> x1: array<vec4u>;
const SHIFT_X: u32 = 3; // rows begin at start << SHIFT_X

/// Channels k to k + 7 of the row that begins at start, two to a word; anything where k is beyond the last.
fn load_x8(start: u32, k: u32) -> vec4u {
  let at = start + min(k, params.k - 8) / 8;
  let seam = params.seam / 8;
  if (at >= seam) {
    return x1[at - seam];
  }
  return x[at];
}
