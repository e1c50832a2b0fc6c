// Weights w [z0, z1, n, taps, k] stored as f16 and read as pairs in u32, which wants no shader-f16 and halves the loads
// of a software adapter (1.1 to 1.4 times as fast there as f32). k contiguous; k and every stride and offset of w,
// counted in halves, are multiples of 4; n is free.
var<storage, read> w: array<vec2u>;

alias FetchedW = array<vec2u, 4>;

/// The weights of columns n to n + 3 for channels k to k + 3, as they are stored: nothing has to wait for them yet.
/// Columns beyond the last repeat it.
fn fetch_w(z: u32, n: u32, tap: u32, k: u32) -> FetchedW {
  let first = params.w_offset + z / params.z1 * params.w_z0 + z % params.z1 * params.w_z1 + tap * params.k + k;
  let at = (first + min(n + vec4u(0, 1, 2, 3), vec4u(params.n - 1)) * params.w_row) / 4;
  return FetchedW(w[at.x], w[at.y], w[at.z], w[at.w]);
}

/// The values of what was fetched; row i of the matrix is column n + i of y.
fn values_w(fetched: FetchedW) -> mat4x4f {
  return transpose(
    mat4x4f(unpack_half(fetched[0]), unpack_half(fetched[1]), unpack_half(fetched[2]), unpack_half(fetched[3])),
  );
}

fn unpack_half(v: vec2u) -> vec4f {
  return vec4f(unpack2x16float(v.x), unpack2x16float(v.y));
}
