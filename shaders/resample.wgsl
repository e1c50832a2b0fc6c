// One axis at another length: y[outer, i, :] = sum over t of weights[i, t] * x[outer, first + t, :], in f32, with first and
// the number of terms in ranges[i]: no other element is read, as it may be NaN.
// x: [outer, length, inner], weights: [to, taps], y: [outer, to, inner], all dense. One invocation per value(s).
// With lib/element_main.wgsl, lib/values_*.wgsl.
struct Params {
  outer: u32,
  length: u32, // of the axis in x
  to: u32, // in y
  inner: u32,
  taps: u32,
}

var<storage, read> weights: array<f32>;
var<storage, read> ranges: array<vec2u>; // first, count
var<uniform> params: Params;

fn run(place: u32) {
  let runs = params.inner / LANES;
  let row = place / runs;
  if (row >= params.outer * params.to) { return; }
  let column = place % runs * LANES;
  let i = row % params.to;
  let start = (row / params.to * params.length + ranges[i].x) * params.inner + column;
  var sum = Value();
  for (var t = 0u; t < ranges[i].y; t++) {
    sum += weights[i * params.taps + t] * load(start + t * params.inner);
  }
  store(row / params.to, i, column, sum);
}
