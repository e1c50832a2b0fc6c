// The shared operand x, four channels at a time: k and every stride and offset of x are multiples of 4.
// Host sets: X.
alias X = f32; // f16 where the tensor is
var<storage, read> x: array<vec4<X>>;

alias FetchedX = vec4<X>;

/// Channels k to k + 3 of the row that begins at start, as they are stored: nothing has to wait for them yet.
fn fetch_x(start: i32, k: u32) -> FetchedX {
  return x[(u32(max(start, 0)) + k) / 4];
}

/// The values of what was fetched; a row in the padding (start < 0) is zero.
fn values_x(fetched: FetchedX, start: i32) -> vec4f {
  return select(vec4f(), vec4f(fetched), start >= 0);
}
