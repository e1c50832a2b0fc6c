// Softmax over each row: y = exp(x - max) / sum(exp(x - max)). x: [rows, columns] dense, y likewise.
// With causal = 1 row r of every block of `period` rows sees columns 0 to r + shift only; the others become 0.
// A row of -infinity alone becomes NaN, or with unseen_zero = 1 zeros.
// One workgroup per row. With lib/grid.wgsl, lib/values_*.wgsl, lib/lanes_*.wgsl, norm/lib/row_*.wgsl.
struct Params {
  rows: u32,
  columns: u32,
  causal: u32,
  period: u32, // rows of one attention matrix
  shift: i32, // column that the first of them may still see
  unseen_zero: u32,
}

var<uniform> params: Params;

const LOWEST: f32 = -3.4028234e38;

/// A lane's values number i, at column c of a row, those at or beyond `seen` lowered out of sight.
fn visible(i: u32, first: u32, c: u32, seen: u32) -> Value {
  var v = row_values(i, first + c);
  if (c + LANES > seen) { v = mask(v, c, seen); }
  return v;
}

fn run(row: u32, lane: u32) {
  if (row >= params.rows) { return; }
  let first = row * params.columns;
  var seen = params.columns;
  if (params.causal == 1u) {
    seen = u32(clamp(i32(row % params.period) + params.shift + 1, 0, i32(params.columns)));
  }
  hold_row(first, lane);

  var peak = LOWEST;
  for (var i = 0u; i < row_steps(); i++) {
    let c = (i * WG + lane) * LANES;
    if (c < seen) { peak = max(peak, largest(visible(i, first, c, seen))); }
  }
  peak = workgroup_max(peak, lane);

  var sum = Value();
  for (var i = 0u; i < row_steps(); i++) {
    let c = (i * WG + lane) * LANES;
    if (c < seen) { sum += exp(visible(i, first, c, seen) - peak); }
  }
  let sums = workgroup_sums(vec2f(total(sum), 0.0), lane).x;
  let scale = 1.0 / select(sums, 1.0, sums == 0.0 && params.unseen_zero == 1u);

  for (var i = 0u; i < row_steps(); i++) {
    let c = (i * WG + lane) * LANES;
    if (c < params.columns) {
      var y = Value();
      if (c < seen) { y = exp(visible(i, first, c, seen) - peak) * scale; }
      store(0u, row, c, y);
    }
  }
}
