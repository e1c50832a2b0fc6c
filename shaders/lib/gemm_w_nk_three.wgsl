// Three weights [n, k] of one shape for products with the same x, z being the number of the weight; read four channels at
// a time: k and every stride and offset, which all three have in common, are multiples of 4; n is free.
// Host sets: W.
alias W = f32; // f16 where the tensors are
var<storage, read> w0: array<vec4<W>>;
var<storage, read> w1: array<vec4<W>>;
var<storage, read> w2: array<vec4<W>>;

/// The weights of columns n to n + 3 for channels k to k + 3; row i of the matrix is column n + i of y.
/// Columns beyond the last repeat it.
fn load_w(z: u32, n: u32, tap: u32, k: u32) -> mat4x4f {
  let columns = min(n + vec4u(0, 1, 2, 3), vec4u(params.n - 1));
  let at = (params.w_offset + columns * params.w_row + k) / 4;
  if (z == 0) {
    return transpose(mat4x4f(vec4f(w0[at.x]), vec4f(w0[at.y]), vec4f(w0[at.z]), vec4f(w0[at.w])));
  }
  if (z == 1) {
    return transpose(mat4x4f(vec4f(w1[at.x]), vec4f(w1[at.y]), vec4f(w1[at.z]), vec4f(w1[at.w])));
  }
  return transpose(mat4x4f(vec4f(w2[at.x]), vec4f(w2[at.y]), vec4f(w2[at.z]), vec4f(w2[at.w])));
}
