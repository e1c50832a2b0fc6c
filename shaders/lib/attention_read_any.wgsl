// Queries, keys and values of attention, channel by channel: any widths, strides and offsets.
// Rows beyond the last repeat it; channels beyond the last are zero.
// Host sets: Q, K, V.
alias Q = f32; // f16 where the tensor is
alias K = f32;
alias V = f32;
var<storage, read> q: array<Q>;
var<storage, read> k: array<K>;
var<storage, read> v: array<V>;

fn load_q(z: u32, query: u32, channel: u32) -> vec4f {
  let first = params.q_offset + z / params.z1 * params.q_z0 + z % params.z1 * params.q_z1;
  let channels = channel + vec4u(0, 1, 2, 3);
  let at = first + min(query, params.queries - 1) * params.q_row + min(channels, vec4u(params.width - 1));
  let values = vec4f(f32(q[at.x]), f32(q[at.y]), f32(q[at.z]), f32(q[at.w]));
  return select(vec4f(), values, channels < vec4u(params.width));
}

fn load_k(z: u32, key: u32, channel: u32) -> vec4f {
  let first = params.k_offset + z / params.z1 * params.k_z0 + z % params.z1 * params.k_z1;
  let channels = channel + vec4u(0, 1, 2, 3);
  let at = first + min(key, params.keys - 1) * params.k_row + min(channels, vec4u(params.width - 1));
  let values = vec4f(f32(k[at.x]), f32(k[at.y]), f32(k[at.z]), f32(k[at.w]));
  return select(vec4f(), values, channels < vec4u(params.width));
}

fn load_v(z: u32, key: u32, column: u32) -> vec4f {
  let first = params.v_offset + z / params.z1 * params.v_z0 + z % params.z1 * params.v_z1;
  let columns = min(column + vec4u(0, 1, 2, 3), vec4u(params.columns - 1));
  let at = first + min(key, params.keys - 1) * params.v_row + columns;
  return vec4f(f32(v[at.x]), f32(v[at.y]), f32(v[at.z]), f32(v[at.w]));
}
