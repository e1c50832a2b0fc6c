// The shared operand x, element by element: any k, strides and offsets.
// Host sets: X.
alias X = f32; // f16 where the tensor is
var<storage, read> x: array<X>;

alias FetchedX = vec4<X>;

/// Channels k to k + 3 of the row that begins at start; zero beyond the last channel.
fn fetch_x(start: i32, k: u32) -> FetchedX {
  return FetchedX(fetch_x1(start, k), fetch_x1(start, k + 1), fetch_x1(start, k + 2), fetch_x1(start, k + 3));
}

fn fetch_x1(start: i32, k: u32) -> X {
  return select(X(), x[u32(max(start, 0)) + min(k, params.k - 1)], k < params.k);
}

/// The values of what was fetched; a row in the padding (start < 0) is zero.
fn values_x(fetched: FetchedX, start: i32) -> vec4f {
  return select(vec4f(), vec4f(fetched), start >= 0);
}
