// Matrix product and convolution for any adapter, without subgroups:
// y[z, m, n] = sum over taps and k of x[z, row(m, tap), k] * w[z, n, tap, k], summed in f32.
// x, w and Params: see lib/gemm_rows_*, lib/gemm_x_* and lib/gemm_w_*; lib/gemm_join_* says what becomes of the sums, which
// store(z, m, n, four columns) takes.
// A workgroup computes a tile of 64 x 64 outputs, each of its 128 invocations 8 rows by 4 columns; tiles count rows first,
// then columns, then z. Workgroup memory holds 16 channels of both operands, where each value serves 64 multiplications;
// an invocation reads 48 of them for 128 multiplications.
// Host sets: SETS.
const TILE: u32 = 64; // rows and columns of a tile
const SETS: u32 = 1; // 2: of weights w[0] and w[1], whose products join() makes one

var<workgroup> tile_x: array<array<vec4f, 4>, TILE>; // [row][k / 4], four channels each
var<workgroup> tile_w: array<array<vec4f, 16>, 16 * SETS>; // [set * 16 + k][column / 4], four columns each

@compute @workgroup_size(128)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let tile = id.x + id.y * grid.x;
  let tiles_m = (params.m + TILE - 1) / TILE;
  let tiles_n = (params.n + TILE - 1) / TILE;
  let z = tile / (tiles_m * tiles_n);
  if (z >= params.z) {
    return;
  }
  let first_row = tile % tiles_m * TILE;
  let first_col = tile / tiles_m % tiles_n * TILE;

  // A lane loads rows block and block + 32 of x, and lanes below 64 the columns 4 * block and on of w: 4 channels each.
  let block = lane / 4;
  let channel = lane % 4 * 4;
  // It multiplies rows row to row + 7 by the columns of one group of 4.
  let row = lane / 16 * 8;
  let group = lane % 16;

  var sums: array<vec4f, 8 * SETS>;
  for (var tap = 0u; tap < params.taps; tap++) {
    let start = row_start(z, min(first_row + block, params.m - 1), tap);
    let start_32 = row_start(z, min(first_row + block + 32, params.m - 1), tap);
    for (var first_k = 0u; first_k < params.k; first_k += 16) {
      // Channels beyond the last block repeat that block, with x as zero.
      let k = min(first_k + channel, (params.k - 1) / 4 * 4);
      let within = first_k + channel < params.k;
      tile_x[block][channel / 4] = load_x(select(-1, start, within), k);
      tile_x[block + 32][channel / 4] = load_x(select(-1, start_32, within), k);
      if (block < 16 * SETS) { // a second set is for the lanes behind
        let weights = load_w(z + block / 16, first_col + 4 * (block % 16), tap, k);
        for (var i = 0u; i < 4; i++) {
          tile_w[block / 16 * 16 + channel + i][block % 16] = weights[i];
        }
      }
      workgroupBarrier();
      for (var s = 0u; s < SETS; s++) {
        for (var i = 0u; i < 4; i++) {
          let weights = mat4x4f(
            tile_w[16 * s + 4 * i][group],
            tile_w[16 * s + 4 * i + 1][group],
            tile_w[16 * s + 4 * i + 2][group],
            tile_w[16 * s + 4 * i + 3][group],
          );
          for (var j = 0u; j < 8; j++) {
            sums[8 * s + j] += weights * tile_x[row + j][i];
          }
        }
      }
      workgroupBarrier();
    }
  }
  let col = first_col + 4 * group;
  for (var j = 0u; j < 8; j++) {
    if (first_row + row + j < params.m && col < params.n) {
      store(z, first_row + row + j, col, join(col, sums[j], sums[j + 8 * (SETS - 1)]));
    }
  }
}
