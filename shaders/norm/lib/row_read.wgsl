// A row's values are read whenever they are used: for rows of any length. With lib/values_*.wgsl, lib/lanes_*.wgsl; the
// kernel's Params have columns.
fn hold_row(first: u32, lane: u32) {}

fn row_steps() -> u32 {
  return (params.columns + WG * LANES - 1u) / (WG * LANES);
}

/// Values number i of a lane, which are those at element `at`.
fn row_values(i: u32, at: u32) -> Value {
  return load(at);
}
