// Matrix product and convolution on matrix units:
// y[z, m, n] = sum over taps and k of x[z, row(m, tap), k] * w[z, n, tap, k]; operands in f16, summed in f32.
// x, w and Params: see lib/gemm_rows_*, lib/gemm_columns_*, lib/gemm_x8_* and lib/gemm_w8_*, with lib/matrix_*
// and lib/gemm_join_*; store(z, m, n, four columns) takes the sums.
// A workgroup computes a tile of TILE_M x TILE_N sums, each of its subgroups ROWS x COLS matrices of it. While they
// multiply TILE_K channels of both operands, which lie in workgroup memory as each is read by several, the lanes load the
// next ones into registers. Tiles count 8 rows, then columns, then further rows, so that what runs at once shares rows and columns,
// then z, then parts of the sum (see gemm_sum.wgsl).
// Host sets: TILE_M, TILE_N, TILE_K, LANES, ROWS, COLS, TAPPED, PADDED, RAGGED, SETS.
const TILE_M: u32 = 128;
const TILE_N: u32 = 128;
const TILE_K: u32 = 32; // channels that lie in workgroup memory at a time
const LANES: u32 = 32; // of a subgroup
const ROWS: u32 = 4; // matrices of a subgroup, down and across
const COLS: u32 = 4; // even
const TAPPED: bool = true; // false where there is one tap
const PADDED: bool = true; // false where no row is in the padding
const RAGGED: bool = true; // false where k is a multiple of TILE_K
const SETS: u32 = 1; // 2: of weights w[0] and w[1], side by side in a tile, whose products join() makes one

const EIGHTS: u32 = TILE_K / 8; // of a row of a tile
const STRIDE: u32 = EIGHTS * 2 + 2; // of a row in workgroup memory, in vec4h; the gap turns neighbours to other banks
const ACROSS: u32 = TILE_N / (COLS * N); // subgroups side by side
const SUBGROUPS: u32 = TILE_M / (ROWS * M) * ACROSS;
const WG: u32 = SUBGROUPS * LANES;
const OWN: u32 = TILE_N / SETS; // columns of y in a tile
const GROUP: u32 = 8; // rows of tiles that are walked together

var<workgroup> tile_x: array<vec4h, TILE_M * STRIDE>; // [row][channel]
var<workgroup> tile_w: array<vec4h, TILE_N * STRIDE>; // [column][channel], all of the first set in front
var<workgroup> patches: array<vec4f, SUBGROUPS * M * N / 2>; // two matrices of each subgroup, side by side

/// What a lane loads ahead: every WG-th eight of both tiles.
struct Ahead {
  x: array<vec4u, TILE_M * EIGHTS / WG>,
  w: array<Loaded, TILE_N * EIGHTS / WG>,
  rows: array<Row, TILE_M * EIGHTS / WG>,
  start_x: array<i32, TILE_M * EIGHTS / WG>, // for the tap at hand
  start_w: array<u32, TILE_N * EIGHTS / WG>,
}

fn run(tile: u32, lane: u32, subgroup: u32, subgroup_lane: u32) {
  let tiles_m = (params.m + TILE_M - 1) / TILE_M;
  let tiles_n = (params.n + OWN - 1) / OWN;
  let z_part = tile / (tiles_m * tiles_n);
  if (z_part >= params.z * params.parts) {
    return;
  }
  let z = z_part % params.z;
  let part = z_part / params.z;
  let place = tile % (tiles_m * tiles_n);
  let above = place / (GROUP * tiles_n) * GROUP;
  let height = min(GROUP, tiles_m - above);
  let first_row = (above + place % (GROUP * tiles_n) % height) * TILE_M;
  let first_col = place % (GROUP * tiles_n) / height * OWN;

  var ahead: Ahead;
  let steps_k = (params.k + TILE_K - 1) / TILE_K;
  let steps = params.taps * steps_k;
  let first = part * steps / params.parts;
  var taps = select(1, first / steps_k + 1, TAPPED); // begun
  var tap = tap_at(taps - 1);
  var k = (first - (taps - 1) * steps_k) * TILE_K;
  find_rows(&ahead, z, first_row, first_col, taps - 1, lane);
  begin_tap(&ahead, tap);
  load_tiles(&ahead, z, k, lane);
  put_tiles(&ahead, k, lane);
  var sums: array<Sums, ROWS * COLS>;
  for (var i = 0u; i < ROWS * COLS; i++) {
    sums[i] = Sums(0); // see lib/matrix_units.wgsl
  }
  for (var step = first; step < (part + 1) * steps / params.parts; step++) {
    workgroupBarrier();
    k += TILE_K; // behind the last step beyond the last channel
    if (TAPPED && k >= params.k && taps < params.taps) {
      taps++;
      tap = tap_behind(tap);
      begin_tap(&ahead, tap);
      for (var i = 0u; i < TILE_N * EIGHTS / WG; i++) {
        ahead.start_w[i] += tap_step_w();
      }
      k = 0;
    }
    load_tiles(&ahead, z, k, lane);
    multiply(&sums, subgroup);
    workgroupBarrier();
    put_tiles(&ahead, k, lane);
  }
  store_sums(&sums, z_part, first_row, first_col, subgroup, subgroup_lane);
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
  for (var i = 0u; i < TILE_M * EIGHTS / WG; i++) {
    ahead.rows[i] = row_at(z, min(first_row + place_x(i, lane).x, params.m - 1));
  }
  for (var i = 0u; i < TILE_N * EIGHTS / WG; i++) {
    let column = place_w(i, lane).x;
    let other = select(0, column / OWN, SETS == 2);
    ahead.start_w[i] = column_start(z + other, first_col + column - other * OWN) >> SHIFT_W;
    ahead.start_w[i] += tap * tap_step_w();
  }
}

/// Finds where a lane's rows begin for a tap.
fn begin_tap(ahead: ptr<function, Ahead>, tap: Tap) {
  for (var i = 0u; i < TILE_M * EIGHTS / WG; i++) {
    ahead.start_x[i] = tap_start(ahead.rows[i], tap) >> SHIFT_X; // -1 stays -1
  }
}

/// Loads channels k and on.
fn load_tiles(ahead: ptr<function, Ahead>, z: u32, k: u32, lane: u32) {
  for (var i = 0u; i < TILE_M * EIGHTS / WG; i++) {
    let start = ahead.start_x[i];
    ahead.x[i] = load_x8(u32(select(start, max(start, 0), PADDED)), k + place_x(i, lane).y * 8);
  }
  for (var i = 0u; i < TILE_N * EIGHTS / WG; i++) {
    ahead.w[i] = load_w8(z, ahead.start_w[i], k + place_w(i, lane).y * 8);
  }
}

/// Brings into workgroup memory what was loaded; zeros for rows in the padding and channels beyond the last.
fn put_tiles(ahead: ptr<function, Ahead>, k: u32, lane: u32) {
  for (var i = 0u; i < TILE_M * EIGHTS / WG; i++) {
    let place = place_x(i, lane);
    let at = place.x * STRIDE + place.y * 2;
    let within = (!PADDED || ahead.start_x[i] >= 0) && (!RAGGED || k + place.y * 8 < params.k);
    let values = select(vec4u(), ahead.x[i], within);
    tile_x[at] = bitcast<vec4h>(values.xy);
    tile_x[at + 1] = bitcast<vec4h>(values.zw);
  }
  for (var i = 0u; i < TILE_N * EIGHTS / WG; i++) {
    let place = place_w(i, lane);
    let at = place.x * STRIDE + place.y * 2;
    let values = halves(ahead.w[i]);
    tile_w[at] = bitcast<vec4h>(values.xy);
    tile_w[at + 1] = bitcast<vec4h>(values.zw);
  }
}

/// Adds the product of both tiles to a subgroup's sums. Of two sets half of its matrices are of each.
fn multiply(sums: ptr<function, array<Sums, ROWS * COLS>>, subgroup: u32) {
  let row = subgroup / ACROSS * ROWS * M;
  let column = subgroup % ACROSS * COLS * N / SETS;
  for (var k = 0u; k < TILE_K; k += K) {
    var left: array<Left, ROWS>;
    for (var i = 0u; i < ROWS; i++) {
      left[i] = subgroupMatrixLoad<Left, row_major>(&tile_x, (row + i * M) * STRIDE + k / 4, STRIDE);
    }
    var right: array<Right, COLS>;
    for (var j = 0u; j < COLS; j++) {
      let own = column + j / (COLS / SETS) * OWN + j % (COLS / SETS) * N;
      right[j] = subgroupMatrixLoad<Right, col_major>(&tile_w, own * STRIDE + k / 4, STRIDE);
    }
    for (var i = 0u; i < ROWS; i++) {
      for (var j = 0u; j < COLS; j++) {
        sums[i * COLS + j] = subgroupMatrixMultiplyAccumulate(left[i], right[j], sums[i * COLS + j]);
      }
    }
  }
}

/// Hands the sums to store(), two matrices at a time, whose rows the lanes read from workgroup memory: columns side by side,
/// or of both sets.
fn store_sums(
  sums: ptr<function, array<Sums, ROWS * COLS>>,
  z: u32,
  first_row: u32,
  first_col: u32,
  subgroup: u32,
  subgroup_lane: u32,
) {
  let corner = subgroup * M * N / 2;
  let wide = 2 / SETS * N; // columns of y
  for (var pair = 0u; pair < ROWS * COLS / 2; pair++) {
    let i = pair / (COLS / 2);
    let j = pair % (COLS / 2);
    workgroupBarrier();
    for (var own = 0u; own < ROWS * COLS; own++) { // matrices have to be named by constants
      let half = select(own % 2, own % COLS / (COLS / 2), SETS == 2);
      let across = select(own % COLS / 2, own % (COLS / 2), SETS == 2);
      if (own / COLS == i && across == j) {
        subgroupMatrixStore<row_major>(&patches, corner + half * N / 4, sums[own], N / 2);
      }
    }
    workgroupBarrier();
    for (var four = subgroup_lane; four < M * wide / 4; four += LANES) {
      let row = first_row + (subgroup / ACROSS * ROWS + i) * M + four / (wide / 4);
      let right = four % (wide / 4);
      let col = first_col + (subgroup % ACROSS * (COLS / 2) + j) * wide + right * 4;
      let at = corner + four / (wide / 4) * (N / 2) + right;
      if (row < params.m && col < params.n) {
        store(z, row, col, join(col, patches[at], patches[at + (SETS - 1) * N / 4]));
      }
    }
  }
}
