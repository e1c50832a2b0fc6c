// The last pass of a convolution by Winograd's F(2×2, 3×3): each 2 × 2 pixels of y are Aᵀ M A, where M [16, z · tiles,
// quads] are the products of transformed pixels and weights. An invocation makes 4 columns of a tile, and
// store(z, pixel, n, four columns) takes them. With lib/element_main.wgsl.
var<storage, read> sums: array<vec4f>;
struct Params {
  z: u32, // images
  quads: u32, // groups of four columns, the last one perhaps not full
  out_h: u32,
  out_w: u32,
}
var<uniform> params: Params;

fn run(place: u32) {
  let across = (params.out_w + 1) / 2;
  let tiles = (params.out_h + 1) / 2 * across;
  let step = params.z * tiles * params.quads; // from number to number in M
  if (place >= step) {
    return;
  }
  let m0 = line_of_m(place, step);
  let m1 = line_of_m(place + 4 * step, step);
  let m2 = line_of_m(place + 8 * step, step);
  let m3 = line_of_m(place + 12 * step, step);
  let upper = m0 + m1 + m2;
  let lower = m1 - m2 - m3;
  var pixels = array(
    upper[0] + upper[1] + upper[2],
    upper[1] - upper[2] - upper[3],
    lower[0] + lower[1] + lower[2],
    lower[1] - lower[2] - lower[3],
  );
  let tile = place / params.quads;
  let y = tile % tiles / across * 2;
  let x = tile % tiles % across * 2;
  for (var i = 0u; i < 4; i++) {
    if (y + i / 2 < params.out_h && x + i % 2 < params.out_w) {
      store(tile / tiles, (y + i / 2) * params.out_w + x + i % 2, place % params.quads * 4, pixels[i]);
    }
  }
}

/// Four numbers of a line of M.
fn line_of_m(first: u32, step: u32) -> mat4x4f {
  return mat4x4f(sums[first], sums[first + step], sums[first + 2 * step], sums[first + 3 * step]);
}
