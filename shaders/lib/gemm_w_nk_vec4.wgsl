// Weights w [z0, z1, n, taps, k], k contiguous (linear [out, in], conv2d [O, kh, kw, I], keys of attention), read four
// channels at a time: k and every stride and offset of w are multiples of 4; n is free.
// Host sets: W.
alias W = f32; // f16 where the tensor is
var<storage, read> w: array<vec4<W>>;

/// The weights of columns n to n + 3 for channels k to k + 3; row i of the matrix is column n + i of y.
/// Columns beyond the last repeat it.
fn load_w(z: u32, n: u32, tap: u32, k: u32) -> mat4x4f {
  let first = params.w_offset + z / params.z1 * params.w_z0 + z % params.z1 * params.w_z1 + tap * params.k + k;
  let at = (first + min(n + vec4u(0, 1, 2, 3), vec4u(params.n - 1)) * params.w_row) / 4;
  return transpose(mat4x4f(vec4f(w[at.x]), vec4f(w[at.y]), vec4f(w[at.z]), vec4f(w[at.w])));
}
