// Queries, keys and values of attention, four channels at a time: widths, strides and offsets are multiples of 4.
// Rows beyond the last repeat it; load_q and load_k give zeros for channels beyond the last.
// Host sets: QType, KType, VType.
alias QType = f32; // f16 where the tensor is
alias KType = f32;
alias VType = f32;
var<storage, read> q: array<vec4<QType>>;
var<storage, read> k: array<vec4<KType>>;
var<storage, read> v: array<vec4<VType>>;

/// Four channels of a row that begins at `start`; starts and distances of rows are counted in vec4.
fn read_q(start: u32, channel: u32) -> vec4<QType> {
  return q[start + min(channel, params.width - 4) / 4];
}

fn read_k(start: u32, channel: u32) -> vec4<KType> {
  return k[start + min(channel, params.width - 4) / 4];
}

fn read_v(start: u32, column: u32) -> vec4<VType> {
  return v[start + min(column, params.columns - 4) / 4];
}

/// Where a row begins. Strides are 0 or more: the least of this and of the last row's start is in bounds.
fn start_of_q(z: u32, query: u32) -> u32 {
  let start = params.q_offset + z / params.z1 * params.q_z0 + z % params.z1 * params.q_z1;
  return (start + query * params.q_row) / 4;
}

fn start_of_k(z: u32, key: u32) -> u32 {
  let start = params.k_offset + z / params.z1 * params.k_z0 + z % params.z1 / params.group * params.k_z1;
  return (start + key * params.k_row) / 4;
}

fn start_of_v(z: u32, key: u32) -> u32 {
  let start = params.v_offset + z / params.z1 * params.v_z0 + z % params.z1 / params.group * params.v_z1;
  return (start + key * params.v_row) / 4;
}

/// From row to row.
fn step_of_k() -> u32 {
  return params.k_row / 4;
}

fn step_of_v() -> u32 {
  return params.v_row / 4;
}

fn load_q(z: u32, query: u32, channel: u32) -> vec4f {
  let values = vec4f(read_q(start_of_q(z, min(query, params.queries - 1)), channel));
  return select(vec4f(), values, channel < params.width);
}

fn load_k(z: u32, key: u32, channel: u32) -> vec4f {
  let values = vec4f(read_k(start_of_k(z, min(key, params.keys - 1)), channel));
  return select(vec4f(), values, channel < params.width);
}

fn load_v(z: u32, key: u32, column: u32) -> vec4f {
  return vec4f(read_v(start_of_v(z, min(key, params.keys - 1)), column));
}
