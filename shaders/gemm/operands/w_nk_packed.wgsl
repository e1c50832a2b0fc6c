// Weights w [z0, z1, n, taps, k] packed by convert/quantize.wgsl, k contiguous; k and every stride and offset of w, counted
// in elements, are multiples of 32; n is free. Of unpack_*: fetch_packed(i), which reads elements
// i to i + 3, and unpack() of what it read.
var<storage, read> w: array<u32>;

alias FetchedW = array<Packed, 4>;

/// The weights of columns n to n + 3 for channels k to k + 3, as they are stored: nothing has to wait for them yet.
/// Columns beyond the last repeat it.
fn fetch_w(z: u32, n: u32, tap: u32, k: u32) -> FetchedW {
  let first = params.w_offset + z / params.z1 * params.w_z0 + z % params.z1 * params.w_z1 + tap * params.k + k;
  let at = first + min(n + vec4u(0, 1, 2, 3), vec4u(params.n - 1)) * params.w_row;
  return FetchedW(fetch_packed(at.x), fetch_packed(at.y), fetch_packed(at.z), fetch_packed(at.w));
}

/// The values of what was fetched; row i of the matrix is column n + i of y.
fn values_w(fetched: FetchedW) -> mat4x4f {
  return transpose(mat4x4f(unpack(fetched[0]), unpack(fetched[1]), unpack(fetched[2]), unpack(fetched[3])));
}
