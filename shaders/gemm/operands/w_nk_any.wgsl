// Weights w [z0, z1, n, taps, k], k contiguous (linear [out, in], conv2d [O, kh, kw, I], keys of attention), read
// element by element: any n, k, strides and offsets.
// Host sets: W.
alias W = f32; // f16 where the tensor is
var<storage, read> w: array<W>;

alias FetchedW = array<vec4<W>, 4>;

/// The weights of columns n to n + 3 for channels k to k + 3, as they are stored: nothing has to wait for them yet.
/// Columns and channels beyond the last repeat it: there x is zero, or y is not stored.
fn fetch_w(z: u32, n: u32, tap: u32, k: u32) -> FetchedW {
  let first = params.w_offset + z / params.z1 * params.w_z0 + z % params.z1 * params.w_z1 + tap * params.k;
  let column = first + min(n + vec4u(0, 1, 2, 3), vec4u(params.n - 1)) * params.w_row;
  return FetchedW(
    fetch_w4(column, k),
    fetch_w4(column, k + 1),
    fetch_w4(column, k + 2),
    fetch_w4(column, k + 3),
  );
}

fn fetch_w4(column: vec4u, k: u32) -> vec4<W> {
  let at = column + min(k, params.k - 1);
  return vec4<W>(w[at.x], w[at.y], w[at.z], w[at.w]);
}

/// The values of what was fetched; row i of the matrix is column n + i of y.
fn values_w(fetched: FetchedW) -> mat4x4f {
  return mat4x4f(vec4f(fetched[0]), vec4f(fetched[1]), vec4f(fetched[2]), vec4f(fetched[3]));
}
