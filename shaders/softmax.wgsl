// Softmax over each row: y = exp(x - max) / sum(exp(x - max)). x: [rows, columns] dense, y likewise.
// With causal = 1 row r of every block of `period` rows sees columns 0 to r + shift only; the others become 0.
// One workgroup per row. After lib/grid.wgsl, lib/values_*.wgsl, lib/reduction.wgsl.
struct Params {
  rows: u32,
  columns: u32,
  causal: u32,
  period: u32, // rows of one attention matrix
  shift: i32, // column that the first of them may still see
}

@group(0) @binding(2) var<uniform> params: Params;

const LOWEST: f32 = -3.4028234e38;

/// The values from column c of a row on, those at or beyond `seen` lowered out of sight.
fn visible(first: u32, c: u32, seen: u32) -> Value {
  var v = load(first + c);
  if (c + LANES > seen) { v = mask(v, c, seen); }
  return v;
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = workgroup_number(id, grid);
  if (row >= params.rows) { return; }
  let first = row * params.columns;
  var seen = params.columns;
  if (params.causal == 1u) {
    seen = u32(clamp(i32(row % params.period) + params.shift + 1, 0, i32(params.columns)));
  }

  var peak = LOWEST;
  for (var c = lane * LANES; c < seen; c += WG * LANES) {
    peak = max(peak, largest(visible(first, c, seen)));
  }
  peak = workgroup_max(peak, lane);

  var sum = Value();
  for (var c = lane * LANES; c < seen; c += WG * LANES) {
    sum += exp(visible(first, c, seen) - peak);
  }
  let scale = 1.0 / workgroup_sum(total(sum), lane);

  for (var c = lane * LANES; c < params.columns; c += WG * LANES) {
    var y = Value();
    if (c < seen) { y = exp(visible(first, c, seen) - peak) * scale; }
    store(0u, row, c, y);
  }
}
