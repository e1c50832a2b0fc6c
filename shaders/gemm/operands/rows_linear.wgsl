// Rows of x for a matrix product: row m of batch z is the contiguous run x[z0, z1, m, 0..k], z = z0 * z1 + its rest.
// x is [z0, z1, m, k] with a stride for each of the first three, so that [B, L, H, D] serves as [B, H, L, D].
struct Params {
  z: u32, // products in the batch
  z1: u32, // how many of them share an outer index: z = outer * z1 + inner
  m: u32, // rows of x and y
  n: u32, // columns of y
  k: u32, // elements that are summed
  taps: u32, // 1: a matrix product has one row of x for each row of y
  parts: u32, // of the sum, each made by workgroups of its own: see sum.wgsl
  x_offset: u32, // everything below counts elements
  x_z0: u32,
  x_z1: u32,
  x_row: u32,
  w_offset: u32,
  w_z0: u32,
  w_z1: u32,
  w_row: u32,
}

var<uniform> params: Params;

/// A row of x: the index of its first element.
struct Row {
  start: u32,
}

/// There is one tap.
struct Tap {
  number: u32,
}

fn row_at(z: u32, m: u32) -> Row {
  return Row(params.x_offset + z / params.z1 * params.x_z0 + z % params.z1 * params.x_z1 + m * params.x_row);
}

fn tap_at(tap: u32) -> Tap {
  return Tap(tap);
}

fn tap_behind(tap: Tap) -> Tap {
  return tap;
}

/// The index in x of the first element of a row.
fn tap_start(row: Row, tap: Tap) -> i32 {
  return i32(row.start);
}

/// The index in x of the first channel that row m of y sees through a tap, -1 in the padding.
fn row_start(z: u32, m: u32, tap: u32) -> i32 {
  return tap_start(row_at(z, m), tap_at(tap));
}
