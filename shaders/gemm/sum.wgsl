// The last pass of a product whose sum was cut into parts: y[z, m, n] = sum over parts of sums[part, z, m, n], in order, so
// that every run gives the same bits. An invocation adds four columns. With lib/element_main.wgsl.
// store(z, m, n, four columns) takes the sums.
var<storage, read> sums: array<vec4f>; // [parts, z, m, quads]
struct Params {
  parts: u32,
  z: u32,
  m: u32,
  quads: u32, // groups of four columns, the last one perhaps not full
}
var<uniform> params: Params;

fn run(place: u32) {
  let count = params.z * params.m * params.quads;
  if (place >= count) {
    return;
  }
  var sum = sums[place];
  for (var part = 1u; part < params.parts; part++) {
    sum += sums[part * count + place];
  }
  store(place / params.quads / params.m, place / params.quads % params.m, place % params.quads * 4, sum);
}
