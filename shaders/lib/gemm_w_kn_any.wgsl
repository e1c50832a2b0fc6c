// The second operand w [z0, z1, taps, k, n], n contiguous (matmul's b, values of attention), read element by element:
// any n, k, strides and offsets.
// Host sets: W.
alias W = f32; // f16 where the tensor is
var<storage, read> w: array<W>;

/// The weights of columns n to n + 3 for channels k to k + 3; row i of the matrix is column n + i of y.
/// Columns and channels beyond the last repeat it: there x is zero, or y is not stored.
fn load_w(z: u32, n: u32, tap: u32, k: u32) -> mat4x4f {
  let first = params.w_offset + z / params.z1 * params.w_z0 + z % params.z1 * params.w_z1;
  let row = first + (tap * params.k + min(k + vec4u(0, 1, 2, 3), vec4u(params.k - 1))) * params.w_row;
  return mat4x4f(load_w4(row.x, n), load_w4(row.y, n), load_w4(row.z, n), load_w4(row.w, n));
}

fn load_w4(row: u32, n: u32) -> vec4f {
  let at = row + min(n + vec4u(0, 1, 2, 3), vec4u(params.n - 1));
  return vec4f(f32(w[at.x]), f32(w[at.y]), f32(w[at.z]), f32(w[at.w]));
}
