// One axis at another length: y[outer, i, :] = sum over t of weights[i, t] * x[outer, first[i] + t, :], in f32.
// x: [outer, from, inner], weights: [to, taps], first: [to], y: [outer, to, inner], all dense. One invocation per value(s).
// After lib/grid.wgsl, lib/values_*.wgsl.
struct Params {
  outer: u32,
  length: u32, // of the axis in x
  to: u32, // in y
  inner: u32,
  taps: u32,
}

@group(0) @binding(1) var<storage, read> weights: array<f32>;
@group(0) @binding(2) var<storage, read> first: array<i32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let runs = params.inner / LANES;
  let place = workgroup_number(id, grid) * 64u + lane;
  let row = place / runs;
  if (row >= params.outer * params.to) { return; }
  let column = place % runs * LANES;
  let i = row % params.to;
  let start = (row / params.to * params.length + u32(first[i])) * params.inner + column;
  var sum = Value();
  for (var t = 0u; t < params.taps; t++) {
    sum += weights[i * params.taps + t] * load(start + t * params.inner);
  }
  store(row / params.to, i, column, sum);
}
