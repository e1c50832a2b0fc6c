// Matrix product and convolution on matrix units:
// y[z, m, n] = sum over taps and k of x[z, row(m, tap), k] * w[z, n, tap, k]; operands in f16, summed in f32.
// Operands: see gemm/lib/stage.wgsl, which brings tiles of them into workgroup memory; with lib/matrix_*
// and gemm/lib/join_*; store(z, m, n, four columns) takes the sums.
// A workgroup computes a tile of TILE_M x TILE_N sums, each of its subgroups ROWS x COLS matrices of it. While they
// multiply TILE_K channels of both operands, which lie in workgroup memory as each is read by several, the lanes load the
// next ones into registers. Tiles count 8 rows, then columns, then further rows, so that what runs at once shares rows and
// columns, then z, then parts of the sum (see sum.wgsl).
// Host sets: TILE_M, TILE_N, LANES, ROWS, COLS, PATCH, SETS.
const TILE_M: u32 = 128;
const TILE_N: u32 = 128;
const LANES: u32 = 32; // of a subgroup
const ROWS: u32 = 4; // matrices of a subgroup, down and across
const COLS: u32 = 4; // even
const PATCH: u32 = 2; // matrices of a subgroup that are stored at a time: 2, or 1 where memory is short and there is one set
const SETS: u32 = 1; // 2: of weights w[0] and w[1], side by side in a tile, whose products join() makes one

const ACROSS: u32 = TILE_N / (COLS * N); // subgroups side by side
const SUBGROUPS: u32 = TILE_M / (ROWS * M) * ACROSS;
const WG: u32 = SUBGROUPS * LANES;
const GROUP: u32 = 8; // rows of tiles that are walked together

var<workgroup> patches: array<vec4f, SUBGROUPS * PATCH * M * N / 4>; // PATCH matrices of each subgroup, side by side

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
  let steps = steps_of_sum();
  let first = part * steps / params.parts;
  begin(&ahead, z, first_row, first_col, first, lane);
  put_tiles(&ahead, lane);
  var sums: array<Sums, ROWS * COLS>;
  for (var i = 0u; i < ROWS * COLS; i++) { // unrolled
    sums[i] = Sums(0); // see lib/matrix_units.wgsl
  }
  for (var step = first; step < (part + 1) * steps / params.parts; step++) {
    workgroupBarrier();
    load_next(&ahead, z, lane);
    multiply(&sums, subgroup);
    workgroupBarrier();
    put_tiles(&ahead, lane);
  }
  store_sums(&sums, z_part, first_row, first_col, subgroup, subgroup_lane);
}

/// Columns lie in a tile in their order.
fn column_of(place: u32) -> u32 {
  return place;
}

/// Adds the product of both tiles to a subgroup's sums. Of two sets half of its matrices are of each.
fn multiply(sums: ptr<function, array<Sums, ROWS * COLS>>, subgroup: u32) {
  let row = subgroup / ACROSS * ROWS * M;
  let column = subgroup % ACROSS * COLS * N / SETS;
  for (var k = 0u; k < TILE_K; k += K) {
    var left: array<Left, ROWS>;
    for (var i = 0u; i < ROWS; i++) { // unrolled
      left[i] = subgroupMatrixLoad<Left, row_major>(&tile_x, (row + i * M) * STRIDE + k / 4, STRIDE);
    }
    var right: array<Right, COLS>;
    for (var j = 0u; j < COLS; j++) { // unrolled
      let own = column + j / (COLS / SETS) * OWN + j % (COLS / SETS) * N;
      right[j] = subgroupMatrixLoad<Right, col_major>(&tile_w, own * STRIDE + k / 4, STRIDE);
    }
    for (var i = 0u; i < ROWS; i++) { // unrolled
      for (var j = 0u; j < COLS; j++) { // unrolled
        sums[i * COLS + j] = subgroupMatrixMultiplyAccumulate(left[i], right[j], sums[i * COLS + j]);
      }
    }
  }
}

/// Hands the sums to store(), PATCH matrices at a time, whose rows the lanes read from workgroup memory: columns side by side,
/// or of both sets.
fn store_sums(
  sums: ptr<function, array<Sums, ROWS * COLS>>,
  z: u32,
  first_row: u32,
  first_col: u32,
  subgroup: u32,
  subgroup_lane: u32,
) {
  let pitch = PATCH * N / 4;
  let corner = subgroup * M * pitch;
  let wide = PATCH / SETS * N; // columns of y
  for (var turn = 0u; turn < ROWS * COLS / PATCH; turn++) {
    let i = turn / (COLS / PATCH);
    let j = turn % (COLS / PATCH);
    workgroupBarrier();
    for (var own = 0u; own < ROWS * COLS; own++) { // unrolled, as matrices have to be named by constants
      let half = select(own % PATCH, own % COLS / (COLS / 2), SETS == 2);
      let across = select(own % COLS / PATCH, own % (COLS / 2), SETS == 2);
      if (own / COLS == i && across == j) {
        subgroupMatrixStore<row_major>(&patches, corner + half * N / 4, sums[own], pitch);
      }
    }
    workgroupBarrier();
    for (var four = subgroup_lane; four < M * wide / 4; four += LANES) {
      let row = first_row + (subgroup / ACROSS * ROWS + i) * M + four / (wide / 4);
      let right = four % (wide / 4);
      let col = first_col + (subgroup % ACROSS * (COLS / PATCH) + j) * wide + right * 4;
      let at = corner + four / (wide / 4) * pitch + right;
      if (row < params.m && col < params.n) {
        store(z, row, col, join(col, patches[at], patches[at + (SETS - 1) * N / 4]));
      }
    }
  }
}
