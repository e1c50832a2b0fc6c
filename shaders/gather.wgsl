// Elements along the middle one of three axes by their numbers: y[o, i, k] = x[o, ids[o, i, k], k]. Negative numbers count
// from the end; a number out of range takes the nearest element. x: [outer, n, inner] and y: [outer, m, inner], dense; ids: strides of
// 0 repeat them. One invocation per LANES values of y.
// With lib/element_main.wgsl.
// Host sets: X, T, Id, LANES.
alias X = f32; // LANES elements of x in memory
alias T = f32; // the same as computed with
alias Id = i32;
const LANES: u32 = 1;
struct Params {
  outer: u32,
  n: u32,
  m: u32,
  inner: u32,
  ids_start: u32,
  ids_outer: u32,
  ids_m: u32,
  ids_inner: u32,
}

var<storage, read> x: array<X>;
var<storage, read> ids: array<Id>;
var<uniform> params: Params;

fn run(place: u32) {
  let runs = params.inner / LANES;
  let i = place / runs % params.m;
  let o = place / runs / params.m;
  if (o >= params.outer) { return; }
  let k = place % runs * LANES;
  let number = i32(ids[params.ids_start + o * params.ids_outer + i * params.ids_m + k * params.ids_inner]);
  let row = u32(clamp(select(number, number + i32(params.n), number < 0), 0, i32(params.n) - 1));
  store(o, i, k, T(x[((o * params.n + row) * params.inner + k) / LANES]));
}
