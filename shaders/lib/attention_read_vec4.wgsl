// Queries, keys and values of attention, four channels at a time: widths, strides and offsets are multiples of 4.
// Rows beyond the last repeat it; channels beyond the last are zero.
// Host sets: QType, KType, VType.
alias QType = f32; // f16 where the tensor is
alias KType = f32;
alias VType = f32;
var<storage, read> q: array<vec4<QType>>;
var<storage, read> k: array<vec4<KType>>;
var<storage, read> v: array<vec4<VType>>;

/// Four channels of a row that begins at an element.
fn read_q(at: u32, channel: u32) -> vec4f {
  return select(vec4f(), vec4f(q[(at + min(channel, params.width - 4)) / 4]), channel < params.width);
}

fn read_k(at: u32, channel: u32) -> vec4f {
  return select(vec4f(), vec4f(k[(at + min(channel, params.width - 4)) / 4]), channel < params.width);
}

fn read_v(at: u32, column: u32) -> vec4f {
  return vec4f(v[(at + min(column, params.columns - 4)) / 4]);
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
