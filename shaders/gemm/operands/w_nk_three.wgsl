// Three weights [n, k] of one shape for products with the same x, z being the number of the weight; read four channels at
// a time: k and every stride and offset, which all three have in common, are multiples of 4; n is free.
// Host sets: W.
alias W = f32; // f16 where the tensors are
var<storage, read> w0: array<vec4<W>>;
var<storage, read> w1: array<vec4<W>>;
var<storage, read> w2: array<vec4<W>>;

alias FetchedW = array<vec4<W>, 4>;

/// The weights of columns n to n + 3 for channels k to k + 3, as they are stored: nothing has to wait for them yet.
/// Columns beyond the last repeat it.
fn fetch_w(z: u32, n: u32, tap: u32, k: u32) -> FetchedW {
  let columns = min(n + vec4u(0, 1, 2, 3), vec4u(params.n - 1));
  let at = (params.w_offset + columns * params.w_row + k) / 4;
  if (z == 0) {
    return FetchedW(w0[at.x], w0[at.y], w0[at.z], w0[at.w]);
  }
  if (z == 1) {
    return FetchedW(w1[at.x], w1[at.y], w1[at.z], w1[at.w]);
  }
  return FetchedW(w2[at.x], w2[at.y], w2[at.z], w2[at.w]);
}

/// The values of what was fetched; row i of the matrix is column n + i of y.
fn values_w(fetched: FetchedW) -> mat4x4f {
  return transpose(mat4x4f(vec4f(fetched[0]), vec4f(fetched[1]), vec4f(fetched[2]), vec4f(fetched[3])));
}
