// The shared operand in two, x and x1, four channels at a time: k and every stride and offset are multiples of 4, and x1 has
// the indices from params.seam on.
// Host sets: X.
alias X = f32; // f16 where the tensors are
var<storage, read> x: array<vec4<X>>;
var<storage, read> x1: array<vec4<X>>;

alias FetchedX = vec4<X>;

/// Channels k to k + 3 of the row that begins at start, as they are stored: nothing has to wait for them yet.
fn fetch_x(start: i32, k: u32) -> FetchedX {
  let at = u32(max(start, 0)) + k;
  if (at >= params.seam) {
    return x1[(at - params.seam) / 4];
  }
  return x[at / 4];
}

/// The values of what was fetched; a row in the padding (start < 0) is zero.
fn values_x(fetched: FetchedX, start: i32) -> vec4f {
  return select(vec4f(), vec4f(fetched), start >= 0);
}
