// Layer normalisation without its affine part: y = (x - mean) / sqrt(var + eps) over each row; with center = 0 it is
// root-mean-square normalisation, y = x / sqrt(mean(x^2) + eps). x: `period` rows lie x_inner apart, and such runs x_outer
// apart; y: [batches, y_rows, columns]. The mean is corrected by its rounding error. One workgroup per row.
// With lib/grid.wgsl, lib/values_*.wgsl, lib/lanes_*.wgsl, norm/lib/row_*.wgsl.
struct Params {
  rows: u32,
  columns: u32,
  x_offset: u32,
  period: u32,
  x_outer: u32,
  x_inner: u32,
  y_rows: u32, // rows of a batch of y
  center: u32, // 1: subtract the mean
  eps: f32,
}

var<uniform> params: Params;

fn run(row: u32, lane: u32) {
  if (row >= params.rows) { return; }
  let first = params.x_offset + row / params.period * params.x_outer + row % params.period * params.x_inner;
  let count = f32(params.columns);
  hold_row(first, lane);

  var mean = 0.0;
  if (params.center == 1u) {
    var sum = Value();
    for (var i = 0u; i < row_steps(); i++) {
      let c = (i * WG + lane) * LANES;
      if (c < params.columns) { sum += row_values(i, first + c); }
    }
    mean = workgroup_sums(vec2f(total(sum), 0.0), lane).x / count;
  }
  var squares = Value();
  var rests = Value();
  for (var i = 0u; i < row_steps(); i++) {
    let c = (i * WG + lane) * LANES;
    if (c < params.columns) {
      let d = row_values(i, first + c) - mean;
      squares += d * d;
      rests += d;
    }
  }
  let sums = workgroup_sums(vec2f(total(squares), total(rests)), lane) / count;
  let rest = select(0.0, sums.y, params.center == 1u);
  let scale = inverseSqrt(sums.x - rest * rest + params.eps);
  for (var i = 0u; i < row_steps(); i++) {
    let c = (i * WG + lane) * LANES;
    if (c < params.columns) {
      store(row / params.y_rows, row % params.y_rows, c, (row_values(i, first + c) - mean - rest) * scale);
    }
  }
}
