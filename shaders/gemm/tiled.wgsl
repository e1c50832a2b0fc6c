// Matrix product and convolution for any adapter, without subgroups:
// y[z, m, n] = sum over taps and k of x[z, row(m, tap), k] * w[z, n, tap, k], in f32.
// x, w and Params: see gemm/operands/: rows_*, x_* and w_*; gemm/lib/join_* says what becomes of the sums, which
// store(z, m, n, four columns) takes.
// A workgroup of 2 * TILE invocations computes TILE x TILE outputs, each invocation ROWS rows by GROUPS groups of four
// columns; tiles count rows first, then columns, then z, then parts of the sum (see sum.wgsl). Workgroup memory holds
// 32 channels of both operands. While they are multiplied, each invocation has its share of the next 32 under way: so a
// load has the time of a tile to arrive.
// Host sets: TILE, ROWS, GROUPS, SETS, ALONG_K.
const TILE: u32 = 64; // rows and columns of a tile: 32, 64 or 128
const ROWS: u32 = 8; // rows of an invocation: 4, 8 or 8
const GROUPS: u32 = 1; // its groups of columns: 1, 1 or 2
const SETS: u32 = 1; // 2: of weights w[0] and w[1], whose products join() makes one
const ALONG_K: bool = true; // neighbours load w along k, else along n, whichever is contiguous

const LANES_N: u32 = TILE / 4 / GROUPS;
const LANES_M: u32 = TILE / ROWS;
// The last coordinate is turned by exclusive or with k / 4, so that lanes which differ in it store to different banks.
var<workgroup> tile_x: array<vec4f, 8 * TILE>; // [k / 4][row], four channels each
var<workgroup> tile_w: array<vec4f, 8 * SETS * TILE>; // [set][k / 4][k % 4][column / 4], four columns each

@compute @workgroup_size(2 * TILE)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let tile = id.x + id.y * grid.x;
  let tiles_m = (params.m + TILE - 1) / TILE;
  let tiles_n = (params.n + TILE - 1) / TILE;
  let z_part = tile / (tiles_m * tiles_n);
  if (z_part >= params.z * params.parts) {
    return;
  }
  let part = z_part / params.z;
  let first_row = tile % tiles_m * TILE;
  let first_col = tile / tiles_m % tiles_n * TILE;

  let blocks = (params.k + 31) / 32; // steps of a tap
  let steps = params.taps * blocks;
  let end = (part + 1) * steps / params.parts;
  var step = part * steps / params.parts;
  var tap = step / blocks;
  var k = step % blocks * 32;

  let z = z_part % params.z;
  var ahead = places(lane);
  begin_tap(&ahead, z, first_row, tap);
  fetch(&ahead, z, first_col, tap, k);
  let row = lane / LANES_N; // its rows are LANES_M apart, so that neighbours read neighbours
  let group = lane % LANES_N; // its groups of columns LANES_N
  var sums: array<vec4f, ROWS * GROUPS * SETS>;
  for (; step < end; step++) {
    workgroupBarrier();
    place(&ahead, k);
    workgroupBarrier();
    if (step + 1 < end) {
      k += 32;
      if (k >= params.k) {
        k = 0;
        tap++;
        begin_tap(&ahead, z, first_row, tap);
      }
      fetch(&ahead, z, first_col, tap, k);
    }
    for (var i = 0u; i < 8; i++) {
      for (var g = 0u; g < GROUPS * SETS; g++) {
        let at = (g / GROUPS * 8 + i) * TILE + g % GROUPS * LANES_N + (group ^ i);
        let w = array(tile_w[at], tile_w[at + TILE / 4], tile_w[at + TILE / 2], tile_w[at + TILE / 4 * 3]);
        for (var j = 0u; j < ROWS; j++) {
          let x = tile_x[i * TILE + (row ^ i) + j * LANES_M];
          var sum = sums[g * ROWS + j];
          sum = fma(x.xxxx, w[0], sum);
          sum = fma(x.yyyy, w[1], sum);
          sum = fma(x.zzzz, w[2], sum);
          sums[g * ROWS + j] = fma(x.wwww, w[3], sum);
        }
      }
    }
  }
  for (var g = 0u; g < GROUPS; g++) {
    let col = first_col + 4 * (group + g * LANES_N);
    for (var j = 0u; j < ROWS; j++) {
      let m = first_row + row + j * LANES_M;
      if (m < params.m && col < params.n) {
        store(z_part, m, col, join(col, sums[g * ROWS + j], sums[(g + GROUPS * (SETS - 1)) * ROWS + j]));
      }
    }
  }
}

/// What an invocation loads ahead: of four rows of x and four columns of w, of each set, the same four channels.
struct Ahead {
  row: u32, // in the tile; the others are TILE / 4 apart
  block_x: u32, // of four channels in the tile
  column: u32, // in the tile, in groups of four
  block_w: u32,
  starts: array<i32, 4>, // of the rows
  x: array<FetchedX, 4>,
  w: array<FetchedW, SETS>,
}

fn places(lane: u32) -> Ahead {
  var ahead: Ahead;
  ahead.row = lane / 8;
  ahead.block_x = lane % 8;
  ahead.column = select(lane % (TILE / 4), lane / 8, ALONG_K);
  ahead.block_w = select(lane / (TILE / 4), lane % 8, ALONG_K);
  return ahead;
}

/// Begins to load; channels beyond the last four repeat them.
fn fetch(ahead: ptr<function, Ahead>, z: u32, first_col: u32, tap: u32, k: u32) {
  let last = (params.k - 1) / 4 * 4;
  for (var i = 0u; i < 4; i++) {
    ahead.x[i] = fetch_x(ahead.starts[i], min(k + 4 * ahead.block_x, last));
  }
  for (var s = 0u; s < SETS; s++) {
    ahead.w[s] = fetch_w(z + s, first_col + 4 * ahead.column, tap, min(k + 4 * ahead.block_w, last));
  }
}

/// Brings what was loaded into workgroup memory, x beyond the last channel as zero.
fn place(ahead: ptr<function, Ahead>, k: u32) {
  let within = k + 4 * ahead.block_x < params.k;
  for (var i = 0u; i < 4; i++) {
    let start = select(-1, ahead.starts[i], within);
    tile_x[ahead.block_x * TILE + i * (TILE / 4) + (ahead.row ^ ahead.block_x)] = values_x(ahead.x[i], start);
  }
  for (var s = 0u; s < SETS; s++) {
    let w = values_w(ahead.w[s]);
    for (var i = 0u; i < 4; i++) {
      tile_w[(s * 8 + ahead.block_w) * TILE + i * (TILE / 4) + (ahead.column ^ ahead.block_w)] = w[i];
    }
  }
}

/// Finds where rows of x begin for a tap.
fn begin_tap(ahead: ptr<function, Ahead>, z: u32, first_row: u32, tap: u32) {
  for (var i = 0u; i < 4; i++) {
    ahead.starts[i] = row_start(z, min(first_row + ahead.row + i * (TILE / 4), params.m - 1), tap);
  }
}
