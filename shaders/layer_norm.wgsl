// Layer normalisation without its affine part: y = (x - mean) / sqrt(var + eps) over each row; with center = 0 it is
// root-mean-square normalisation, y = x / sqrt(mean(x^2) + eps). x: `period` rows lie x_inner apart, and such runs x_outer
// apart; y: [batches, y_rows, columns]. The mean is corrected by what its rounding left over. One workgroup per row.
// After lib/grid.wgsl, lib/values_*.wgsl, lib/reduction.wgsl.
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

@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let row = workgroup_number(id, grid);
  if (row >= params.rows) { return; }
  let first = params.x_offset + row / params.period * params.x_outer + row % params.period * params.x_inner;
  let count = f32(params.columns);

  var mean = 0.0;
  if (params.center == 1u) {
    var sum = Value();
    for (var c = lane * LANES; c < params.columns; c += WG * LANES) {
      sum += load(first + c);
    }
    mean = workgroup_sum(total(sum), lane) / count;
  }
  var squares = Value();
  var rests = Value();
  for (var c = lane * LANES; c < params.columns; c += WG * LANES) {
    let d = load(first + c) - mean;
    squares += d * d;
    rests += d;
  }
  var rest = 0.0;
  if (params.center == 1u) { rest = workgroup_sum(total(rests), lane) / count; }
  let scale = inverseSqrt(workgroup_sum(total(squares), lane) / count - rest * rest + params.eps);
  for (var c = lane * LANES; c < params.columns; c += WG * LANES) {
    store(row / params.y_rows, row % params.y_rows, c, (load(first + c) - mean - rest) * scale);
  }
}
