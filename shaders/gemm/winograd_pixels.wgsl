// Pixels of a picture as Winograd's F(2×2, 3×3) multiplies them (Lavin & Gray 2015): V = Bᵀ d B for each 4 × 4 pixels d,
// of which each 2 × 2 pixels of the result are made. V [16, images · tiles, channels].
// x and Params: see gemm/operands/conv_params.wgsl and gemm/operands/x_*. An invocation transforms 4 channels of a tile, and
// store(number in V, tile, channel, four channels) takes them. With lib/element_main.wgsl.
fn run(place: u32) {
  let quads = (params.k + 3) / 4;
  let tile = place / quads;
  let k = place % quads * 4;
  let across = (params.out_w + 1) / 2;
  let tiles = (params.out_h + 1) / 2 * across;
  if (tile >= tiles * params.z) {
    return;
  }
  let inner = tile % tiles;
  let corner = row_at(tile / tiles, inner / across * 2 * params.out_w + inner % across * 2);
  let d0 = line_of_d(corner, 0, k);
  let d1 = line_of_d(corner, 1, k);
  let d2 = line_of_d(corner, 2, k);
  let d3 = line_of_d(corner, 3, k);
  put_line(0, tile, k, d0 - d2);
  put_line(4, tile, k, d1 + d2);
  put_line(8, tile, k, d2 - d1);
  put_line(12, tile, k, d1 - d3);
}

/// Four pixels from left to right, four channels of each.
fn line_of_d(corner: Row, y: u32, k: u32) -> mat4x4f {
  return mat4x4f(pixel(corner, y, 0, k), pixel(corner, y, 1, k), pixel(corner, y, 2, k), pixel(corner, y, 3, k));
}

fn pixel(corner: Row, y: u32, x: u32, k: u32) -> vec4f {
  let start = tap_start(corner, Tap(y, x, (y * params.in_w + x) * params.x_row));
  return values_x(fetch_x(start, k), start);
}

/// Stores a line of Bᵀ d times B.
fn put_line(first: u32, tile: u32, k: u32, t: mat4x4f) {
  store(first, tile, k, t[0] - t[2]);
  store(first + 1, tile, k, t[1] + t[2]);
  store(first + 2, tile, k, t[2] - t[1]);
  store(first + 3, tile, k, t[1] - t[3]);
}
