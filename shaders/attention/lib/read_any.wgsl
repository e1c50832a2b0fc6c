// Queries, keys and values of attention, channel by channel: any widths, strides and offsets.
// Rows beyond the last repeat it; load_q and load_k give zeros for channels beyond the last.
// Host sets: QType, KType, VType.
alias QType = f32; // f16 where the tensor is
alias KType = f32;
alias VType = f32;
var<storage, read> q: array<QType>;
var<storage, read> k: array<KType>;
var<storage, read> v: array<VType>;

/// Four channels of a row that begins at `start`; starts and distances of rows are counted in elements.
fn read_q(start: u32, channel: u32) -> vec4<QType> {
  let i = start + min(channel + vec4u(0, 1, 2, 3), vec4u(params.width - 1));
  return vec4<QType>(q[i.x], q[i.y], q[i.z], q[i.w]);
}

fn read_k(start: u32, channel: u32) -> vec4<KType> {
  let i = start + min(channel + vec4u(0, 1, 2, 3), vec4u(params.width - 1));
  return vec4<KType>(k[i.x], k[i.y], k[i.z], k[i.w]);
}

fn read_v(start: u32, column: u32) -> vec4<VType> {
  let i = start + min(column + vec4u(0, 1, 2, 3), vec4u(params.columns - 1));
  return vec4<VType>(v[i.x], v[i.y], v[i.z], v[i.w]);
}

/// Where a row begins. Strides are 0 or more: the least of this and of the last row's start is in bounds.
fn start_of_q(z: u32, query: u32) -> u32 {
  let start = params.q_offset + z / params.z1 * params.q_z0 + z % params.z1 * params.q_z1;
  return start + query * params.q_row;
}

fn start_of_k(z: u32, key: u32) -> u32 {
  let start = params.k_offset + z / params.z1 * params.k_z0 + z % params.z1 / params.group * params.k_z1;
  return start + key * params.k_row;
}

fn start_of_v(z: u32, key: u32) -> u32 {
  let start = params.v_offset + z / params.z1 * params.v_z0 + z % params.z1 / params.group * params.v_z1;
  return start + key * params.v_row;
}

/// From row to row.
fn step_of_k() -> u32 {
  return params.k_row;
}

fn step_of_v() -> u32 {
  return params.v_row;
}

fn load_q(z: u32, query: u32, channel: u32) -> vec4f {
  let channels = channel + vec4u(0, 1, 2, 3);
  let values = vec4f(read_q(start_of_q(z, min(query, params.queries - 1)), channel));
  return select(vec4f(), values, channels < vec4u(params.width));
}

fn load_k(z: u32, key: u32, channel: u32) -> vec4f {
  let channels = channel + vec4u(0, 1, 2, 3);
  let values = vec4f(read_k(start_of_k(z, min(key, params.keys - 1)), channel));
  return select(vec4f(), values, channels < vec4u(params.width));
}

fn load_v(z: u32, key: u32, column: u32) -> vec4f {
  return vec4f(read_v(start_of_v(z, min(key, params.keys - 1)), column));
}
