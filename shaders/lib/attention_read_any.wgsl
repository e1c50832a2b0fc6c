// Queries, keys and values of attention, channel by channel: any widths, strides and offsets.
// Rows beyond the last repeat it; channels beyond the last are zero.
// Host sets: QType, KType, VType.
alias QType = f32; // f16 where the tensor is
alias KType = f32;
alias VType = f32;
var<storage, read> q: array<QType>;
var<storage, read> k: array<KType>;
var<storage, read> v: array<VType>;

/// Four channels of a row that begins at an element.
fn read_q(at: u32, channel: u32) -> vec4f {
  let channels = channel + vec4u(0, 1, 2, 3);
  let i = at + min(channels, vec4u(params.width - 1));
  return select(vec4f(), vec4f(f32(q[i.x]), f32(q[i.y]), f32(q[i.z]), f32(q[i.w])), channels < vec4u(params.width));
}

fn read_k(at: u32, channel: u32) -> vec4f {
  let channels = channel + vec4u(0, 1, 2, 3);
  let i = at + min(channels, vec4u(params.width - 1));
  return select(vec4f(), vec4f(f32(k[i.x]), f32(k[i.y]), f32(k[i.z]), f32(k[i.w])), channels < vec4u(params.width));
}

fn read_v(at: u32, column: u32) -> vec4f {
  let i = at + min(column + vec4u(0, 1, 2, 3), vec4u(params.columns - 1));
  return vec4f(f32(v[i.x]), f32(v[i.y]), f32(v[i.z]), f32(v[i.w]));
}

/// Where a row begins, in elements: as rows have strides of 0 or more, the least of this and of the last one's is in bounds.
fn start_of_q(z: u32, query: u32) -> u32 {
  return params.q_offset + z / params.z1 * params.q_z0 + z % params.z1 * params.q_z1 + query * params.q_row;
}

fn start_of_k(z: u32, key: u32) -> u32 {
  return params.k_offset + z / params.z1 * params.k_z0 + z % params.z1 * params.k_z1 + key * params.k_row;
}

fn start_of_v(z: u32, key: u32) -> u32 {
  return params.v_offset + z / params.z1 * params.v_z0 + z % params.z1 * params.v_z1 + key * params.v_row;
}

fn load_q(z: u32, query: u32, channel: u32) -> vec4f {
  return read_q(start_of_q(z, min(query, params.queries - 1)), channel);
}

fn load_k(z: u32, key: u32, channel: u32) -> vec4f {
  return read_k(start_of_k(z, min(key, params.keys - 1)), channel);
}

fn load_v(z: u32, key: u32, column: u32) -> vec4f {
  return read_v(start_of_v(z, min(key, params.keys - 1)), column);
}
