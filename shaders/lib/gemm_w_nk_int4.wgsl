// Weights w [z0, z1, n, taps, k] packed as int4 (shaders/quantize.wgsl): 64 elements are 8 words of eight, then one word
// of two f16, the steps of both halves. k contiguous; k and every stride and offset of w, counted in elements, are
// multiples of 32; n is free.
@group(0) @binding(1) var<storage, read> w: array<u32>;

/// The weights of columns n to n + 3 for channels k to k + 3; row i of the matrix is column n + i of y.
/// Columns beyond the last repeat it.
fn load_w(z: u32, n: u32, tap: u32, k: u32) -> mat4x4f {
  let first = params.w_offset + z / params.z1 * params.w_z0 + z % params.z1 * params.w_z1 + tap * params.k + k;
  let at = first + min(n + vec4u(0, 1, 2, 3), vec4u(params.n - 1)) * params.w_row;
  return transpose(mat4x4f(load_packed(at.x), load_packed(at.y), load_packed(at.z), load_packed(at.w)));
}

/// Elements i to i + 3; a nibble holds a number of steps, 8 too many.
fn load_packed(i: u32) -> vec4f {
  let block = i / 64 * 9;
  let within = i % 64;
  let steps = unpack2x16float(w[block + 8]);
  let nibbles = vec4u(w[block + within / 8]) >> (vec4u(0, 4, 8, 12) + within % 8 * 4);
  return (vec4f(nibbles & vec4u(15)) - 8) * select(steps.x, steps.y, within >= 32);
}
