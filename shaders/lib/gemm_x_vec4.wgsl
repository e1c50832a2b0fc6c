// The shared operand x, four channels at a time: k and every stride and offset of x are multiples of 4.
// Host sets: X.
alias X = f32; // f16 where the tensor is
var<storage, read> x: array<vec4<X>>;

/// Channels k to k + 3 of the row that begins at start; a row in the padding (start < 0) is zero.
fn load_x(start: i32, k: u32) -> vec4f {
  let v = vec4f(x[(u32(max(start, 0)) + k) / 4]);
  return select(vec4f(), v, start >= 0);
}
