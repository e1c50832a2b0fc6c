// Weights w [z0, z1, n, taps, k] stored as f16 and read as pairs in u32, which wants no shader-f16 and halves the loads
// of a software adapter (1.1 to 1.4 times as fast there as f32). k contiguous; k and every stride and offset of w,
// counted in halves, are multiples of 4; n is free.
var<storage, read> w: array<vec2u>;

/// The weights of columns n to n + 3 for channels k to k + 3; row i of the matrix is column n + i of y.
/// Columns beyond the last repeat it.
fn load_w(z: u32, n: u32, tap: u32, k: u32) -> mat4x4f {
  let first = params.w_offset + z / params.z1 * params.w_z0 + z % params.z1 * params.w_z1 + tap * params.k + k;
  let at = (first + min(n + vec4u(0, 1, 2, 3), vec4u(params.n - 1)) * params.w_row) / 4;
  return transpose(mat4x4f(unpack_half(w[at.x]), unpack_half(w[at.y]), unpack_half(w[at.z]), unpack_half(w[at.w])));
}

fn unpack_half(v: vec2u) -> vec4f {
  return vec4f(unpack2x16float(v.x), unpack2x16float(v.y));
}
