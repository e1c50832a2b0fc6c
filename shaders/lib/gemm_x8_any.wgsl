// The shared operand x in f16, element by element: any k, strides and offsets.
var<storage, read> x: array<f16>;

/// Channels k to k + 7 of the row that begins at start, two to a word. Those beyond the last are zero where k is not;
/// anything in the padding (start < 0) and where k is beyond it.
fn load_x8(start: i32, k: u32) -> vec4u {
  return vec4u(load_x2(start, k), load_x2(start, k + 2), load_x2(start, k + 4), load_x2(start, k + 6));
}

fn load_x2(start: i32, k: u32) -> u32 {
  return bitcast<u32>(vec2h(load_x1(start, k), load_x1(start, k + 1)));
}

fn load_x1(start: i32, k: u32) -> f16 {
  return select(0.0h, x[u32(max(start, 0)) + min(k, params.k - 1)], k < params.k);
}
