// Weights w [z0, z1, n, taps, k] packed by shaders/quantize.wgsl, k contiguous; k and every stride and offset of w, counted
// in elements, are multiples of 32; n is free. Behind it stands load_packed(i), which reads elements i to i + 3.
var<storage, read> w: array<u32>;

/// The weights of columns n to n + 3 for channels k to k + 3; row i of the matrix is column n + i of y.
/// Columns beyond the last repeat it.
fn load_w(z: u32, n: u32, tap: u32, k: u32) -> mat4x4f {
  let first = params.w_offset + z / params.z1 * params.w_z0 + z % params.z1 * params.w_z1 + tap * params.k + k;
  let at = first + min(n + vec4u(0, 1, 2, 3), vec4u(params.n - 1)) * params.w_row;
  return transpose(mat4x4f(load_packed(at.x), load_packed(at.y), load_packed(at.z), load_packed(at.w)));
}
