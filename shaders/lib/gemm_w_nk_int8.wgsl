// Weights w [z0, z1, n, taps, k] packed as int8 (shaders/quantize.wgsl): 64 elements are 16 words of four, then one word
// of two f16, the largest magnitudes of both halves. k contiguous; k and every stride and offset of w, counted in
// elements, are multiples of 32; n is free.
@group(0) @binding(1) var<storage, read> w: array<u32>;

/// The weights of columns n to n + 3 for channels k to k + 3; row i of the matrix is column n + i of y.
/// Columns beyond the last repeat it.
fn load_w(z: u32, n: u32, tap: u32, k: u32) -> mat4x4f {
  let first = params.w_offset + z / params.z1 * params.w_z0 + z % params.z1 * params.w_z1 + tap * params.k + k;
  let at = first + min(n + vec4u(0, 1, 2, 3), vec4u(params.n - 1)) * params.w_row;
  return transpose(mat4x4f(load_packed(at.x), load_packed(at.y), load_packed(at.z), load_packed(at.w)));
}

/// Elements i to i + 3; a word holds them as fractions of 127.
fn load_packed(i: u32) -> vec4f {
  let block = i / 64 * 17;
  let within = i % 64;
  let largest = unpack2x16float(w[block + 16]);
  return unpack4x8snorm(w[block + within / 4]) * select(largest.x, largest.y, within >= 32);
}
