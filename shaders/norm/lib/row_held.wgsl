// A row's values stay in registers: a lane has those of columns (i * WG + lane) * LANES for i below STEPS, which are read
// once. With lib/values_*.wgsl, lib/lanes_*.wgsl; the kernel's Params have columns.
// Host sets: STEPS.
const STEPS: u32 = 1;
var<private> held: array<Value, STEPS>;

fn hold_row(first: u32, lane: u32) {
  for (var i = 0u; i < STEPS; i++) { // without a branch, so that all are under way at once
    held[i] = load(first + min((i * WG + lane) * LANES, params.columns - LANES));
  }
}

fn row_steps() -> u32 {
  return STEPS;
}

/// Values number i of a lane, which are those at element `at`.
fn row_values(i: u32, at: u32) -> Value {
  return held[i];
}
