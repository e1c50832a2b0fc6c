// The shared operand x, element by element: any k, strides and offsets.
// Host sets: X.
alias X = f32; // f16 where the tensor is
var<storage, read> x: array<X>;

/// Channels k to k + 3 of the row that begins at start; zero beyond the last channel and in the padding (start < 0).
fn load_x(start: i32, k: u32) -> vec4f {
  return vec4f(load_x1(start, k), load_x1(start, k + 1), load_x1(start, k + 2), load_x1(start, k + 3));
}

fn load_x1(start: i32, k: u32) -> f32 {
  let v = f32(x[u32(max(start, 0)) + min(k, params.k - 1)]);
  return select(0.0, v, start >= 0 && k < params.k);
}
