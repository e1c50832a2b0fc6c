// What kernels for f16 operands share: tiles of both in workgroup memory, TILE_K channels at a time, which the lanes bring
// there by way of registers: what is loaded ahead has the time of a step to arrive. A kernel has TILE_M rows of x and TILE_N
// columns of w in a tile, of SETS sets of weights one behind the other, and WG lanes; its column_of(place) tells which
// column of y is at a place of a set. x, w and Params: see gemm/operands/: rows_*, columns_*, x8_* and w8_*.
// Host sets: TILE_K, TAPPED, PADDED, RAGGED.
const TILE_K: u32 = 32; // channels that lie in workgroup memory at a time
const TAPPED: bool = true; // false where there is one tap
const PADDED: bool = true; // false where no row is in the padding
const RAGGED: bool = true; // false where k is a multiple of TILE_K

const EIGHTS: u32 = TILE_K / 8; // of a row of a tile
const STRIDE: u32 = EIGHTS * 2 + 2; // of a row in workgroup memory, in vec4h; the gap turns neighbours to other banks
const OWN: u32 = TILE_N / SETS; // columns of y in a tile

var<workgroup> tile_x: array<vec4h, TILE_M * STRIDE>; // [row][channel]
var<workgroup> tile_w: array<vec4h, TILE_N * STRIDE>; // [column][channel], all of the first set in front

/// What a lane loads ahead: every WG-th eight of both tiles.
struct Ahead {
  x: array<vec4u, TILE_M * EIGHTS / WG>,
  w: array<Loaded, TILE_N * EIGHTS / WG>,
  rows: array<Row, TILE_M * EIGHTS / WG>,
  start_x: array<i32, TILE_M * EIGHTS / WG>, // for the tap at hand
  start_w: array<u32, TILE_N * EIGHTS / WG>,
  tap: Tap,
  taps: u32, // begun
  k: u32,
}

/// The number of steps in which the whole sum is made, of which a part takes some.
fn steps_of_sum() -> u32 {
  return params.taps * ((params.k + TILE_K - 1) / TILE_K);
}

/// Finds a lane's rows and columns, and loads what a step multiplies.
fn begin(ahead: ptr<function, Ahead>, z: u32, first_row: u32, first_col: u32, step: u32, lane: u32) {
  let steps_k = (params.k + TILE_K - 1) / TILE_K;
  ahead.taps = select(1, step / steps_k + 1, TAPPED);
  ahead.tap = tap_at(ahead.taps - 1);
  ahead.k = (step - (ahead.taps - 1) * steps_k) * TILE_K;
  find_rows(ahead, z, first_row, first_col, ahead.taps - 1, lane);
  begin_tap(ahead);
  load_tiles(ahead, z, lane);
}

/// Loads what the next step multiplies; behind the last one anything.
fn load_next(ahead: ptr<function, Ahead>, z: u32, lane: u32) {
  ahead.k += TILE_K;
  if (TAPPED && ahead.k >= params.k && ahead.taps < params.taps) {
    ahead.taps++;
    ahead.tap = tap_behind(ahead.tap);
    begin_tap(ahead);
    for (var i = 0u; i < TILE_N * EIGHTS / WG; i++) { // unrolled
      ahead.start_w[i] += tap_step_w();
    }
    ahead.k = 0;
  }
  load_tiles(ahead, z, lane);
}

/// The row of tile_x and the eight in it that a lane loads as its i-th.
fn place_x(i: u32, lane: u32) -> vec2u {
  return vec2u((lane + i * WG) / EIGHTS, lane % EIGHTS);
}

/// The same of tile_w.
fn place_w(i: u32, lane: u32) -> vec2u {
  let eight = lane + i * WG;
  return select(vec2u(eight % TILE_N, eight / TILE_N), vec2u(eight / EIGHTS, lane % EIGHTS), ALONG_K);
}

/// How far the weights of one tap are from those of the next.
fn tap_step_w() -> u32 {
  return (params.k * channel_step()) >> SHIFT_W;
}

/// Finds a lane's rows, and its columns for a tap.
fn find_rows(ahead: ptr<function, Ahead>, z: u32, first_row: u32, first_col: u32, tap: u32, lane: u32) {
  for (var i = 0u; i < TILE_M * EIGHTS / WG; i++) { // unrolled
    ahead.rows[i] = row_at(z, min(first_row + place_x(i, lane).x, params.m - 1));
  }
  for (var i = 0u; i < TILE_N * EIGHTS / WG; i++) { // unrolled
    let place = place_w(i, lane).x;
    let other = select(0, place / OWN, SETS == 2);
    ahead.start_w[i] = column_start(z + other, first_col + column_of(place - other * OWN)) >> SHIFT_W;
    ahead.start_w[i] += tap * tap_step_w();
  }
}

/// Finds where a lane's rows begin for the tap at hand.
fn begin_tap(ahead: ptr<function, Ahead>) {
  for (var i = 0u; i < TILE_M * EIGHTS / WG; i++) { // unrolled
    ahead.start_x[i] = tap_start(ahead.rows[i], ahead.tap) >> SHIFT_X; // -1 stays -1
  }
}

/// Loads the channels at hand.
fn load_tiles(ahead: ptr<function, Ahead>, z: u32, lane: u32) {
  for (var i = 0u; i < TILE_M * EIGHTS / WG; i++) { // unrolled
    let start = ahead.start_x[i];
    ahead.x[i] = load_x8(u32(select(start, max(start, 0), PADDED)), ahead.k + place_x(i, lane).y * 8);
  }
  for (var i = 0u; i < TILE_N * EIGHTS / WG; i++) { // unrolled
    ahead.w[i] = load_w8(z, ahead.start_w[i], ahead.k + place_w(i, lane).y * 8);
  }
}

/// Brings into workgroup memory what was loaded; zeros for rows in the padding and channels beyond the last.
fn put_tiles(ahead: ptr<function, Ahead>, lane: u32) {
  for (var i = 0u; i < TILE_M * EIGHTS / WG; i++) { // unrolled
    let place = place_x(i, lane);
    let at = place.x * STRIDE + place.y * 2;
    let within = (!PADDED || ahead.start_x[i] >= 0) && (!RAGGED || ahead.k + place.y * 8 < params.k);
    let values = select(vec4u(), ahead.x[i], within);
    tile_x[at] = bitcast<vec4h>(values.xy);
    tile_x[at + 1] = bitcast<vec4h>(values.zw);
  }
  for (var i = 0u; i < TILE_N * EIGHTS / WG; i++) { // unrolled
    let place = place_w(i, lane);
    let at = place.x * STRIDE + place.y * 2;
    let values = halves(ahead.w[i]);
    tile_w[at] = bitcast<vec4h>(values.xy);
    tile_w[at + 1] = bitcast<vec4h>(values.zw);
  }
}
