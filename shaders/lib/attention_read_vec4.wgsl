// Queries, keys and values of attention, four channels at a time: widths, strides and offsets are multiples of 4.
// Rows beyond the last repeat it; channels beyond the last are zero.
// Host sets: Q, K, V.
alias Q = f32; // f16 where the tensor is
alias K = f32;
alias V = f32;
var<storage, read> q: array<vec4<Q>>;
var<storage, read> k: array<vec4<K>>;
var<storage, read> v: array<vec4<V>>;

fn load_q(z: u32, query: u32, channel: u32) -> vec4f {
  let first = params.q_offset + z / params.z1 * params.q_z0 + z % params.z1 * params.q_z1;
  let at = first + min(query, params.queries - 1) * params.q_row + min(channel, params.width - 4);
  return select(vec4f(), vec4f(q[at / 4]), channel < params.width);
}

fn load_k(z: u32, key: u32, channel: u32) -> vec4f {
  let first = params.k_offset + z / params.z1 * params.k_z0 + z % params.z1 * params.k_z1;
  let at = first + min(key, params.keys - 1) * params.k_row + min(channel, params.width - 4);
  return select(vec4f(), vec4f(k[at / 4]), channel < params.width);
}

fn load_v(z: u32, key: u32, column: u32) -> vec4f {
  let first = params.v_offset + z / params.z1 * params.v_z0 + z % params.z1 * params.v_z1;
  let at = first + min(key, params.keys - 1) * params.v_row + min(column, params.columns - 4);
  return vec4f(v[at / 4]);
}
