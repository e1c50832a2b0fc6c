// Elements put in or added along the middle one of three axes: y[o, r, k] is x[o, r, k] until an ids[o, m, k] is r; then it
// is src[o, m, k], of several the last, or with ADD their sum on top. x, y: [outer, n, inner]; ids, src: [outer, m, inner],
// all dense. Numbers out of range are left out. One invocation per element of y, which looks through all m.
// With lib/element_main.wgsl.
// Host sets: X, T, Id, ADD.
alias X = f32; // of x and src in memory
alias T = f32; // the same as computed with
alias Id = i32;
const ADD: bool = false;
struct Params {
  outer: u32,
  n: u32,
  m: u32,
  inner: u32,
}

var<storage, read> x: array<X>;
var<storage, read> ids: array<Id>;
var<storage, read> src: array<X>;
var<uniform> params: Params;

fn run(place: u32) {
  let k = place % params.inner;
  let r = place / params.inner % params.n;
  let o = place / params.inner / params.n;
  if (o >= params.outer) { return; }
  var v = T(x[place]);
  for (var m = 0u; m < params.m; m++) {
    let at = (o * params.m + m) * params.inner + k;
    if (u32(ids[at]) != r) { continue; }
    if (ADD) { v += T(src[at]); } else { v = T(src[at]); }
  }
  store(o, r, k, v);
}
