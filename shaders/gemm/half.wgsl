// Matrix product and convolution in f16 arithmetic, for GPUs that do it faster than f32 and have no matrix units:
// y[z, m, n] = sum over taps and k of x[z, row(m, tap), k] * w[z, n, tap, k]. Pairs of adjacent channels are multiplied and
// summed as vec2h, 64 channels long; these sums go to sums in f32. So a sum in f16 has at most 32 terms: with 2^-11 as u, the
// roundings of all of them leave a result off by 2.4 u of its root mean square (see test/ops/gemm/half_test.ts).
// Operands: see gemm/lib/stage.wgsl, which brings tiles of them into workgroup memory; gemm/lib/join_* says what becomes of
// the sums, which store(z, m, n, four columns) takes.
// A lane computes ROWS rows by GROUPS groups of four columns of a tile, of two sets one group of each; both lie apart, so
// that neighbouring lanes read neighbours. Tiles count rows first, then columns, then z, then parts of the sum (see
// gemm/sum.wgsl).
// Host sets: TILE_M, TILE_N, ROWS, GROUPS, SETS.
const TILE_M: u32 = 64;
const TILE_N: u32 = 64;
const ROWS: u32 = 8;
const GROUPS: u32 = 1;
const SETS: u32 = 1; // 2: of weights w[0] and w[1], whose products join() makes one

const LANES_M: u32 = TILE_M / ROWS;
const LANES_N: u32 = TILE_N / (4 * GROUPS);
const WG: u32 = LANES_M * LANES_N;
const FLUSH: u32 = 2; // steps between which sums are in f16

/// Columns of a group lie LANES_N apart, those of neighbouring lanes side by side.
fn column_of(place: u32) -> u32 {
  let group = place / (4 * LANES_N);
  return (group * LANES_N + place % LANES_N) * 4 + place / LANES_N % 4;
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let tile = id.x + id.y * grid.x;
  let tiles_m = (params.m + TILE_M - 1) / TILE_M;
  let tiles_n = (params.n + OWN - 1) / OWN;
  let z_part = tile / (tiles_m * tiles_n);
  if (z_part >= params.z * params.parts) {
    return;
  }
  let z = z_part % params.z;
  let part = z_part / params.z;
  let first_row = tile % tiles_m * TILE_M;
  let first_col = tile / tiles_m % tiles_n * OWN;
  let row = lane / LANES_N;
  let column = lane % LANES_N;

  let steps = steps_of_sum();
  let first = part * steps / params.parts;
  let end = (part + 1) * steps / params.parts;
  var ahead: Ahead;
  begin(&ahead, z, first_row, first_col, first, lane);
  var sums: array<vec4f, ROWS * GROUPS>;
  var pairs: array<array<vec2h, 4>, ROWS * GROUPS>; // of even and odd channels
  for (var step = first; step < end;) {
    let stop = min(step + FLUSH, end);
    for (; step < stop; step++) {
      workgroupBarrier();
      put_tiles(&ahead, lane);
      workgroupBarrier();
      load_next(&ahead, z, lane);
      for (var i = 0u; i < EIGHTS; i++) {
        for (var g = 0u; g < GROUPS; g++) {
          var w: array<array<vec4h, 2>, 4>;
          for (var c = 0u; c < 4; c++) {
            let at = ((g * 4 + c) * LANES_N + column) * STRIDE + i * 2;
            w[c] = array(tile_w[at], tile_w[at + 1]);
          }
          for (var j = 0u; j < ROWS; j++) {
            let at = (row + j * LANES_M) * STRIDE + i * 2;
            let x = array(tile_x[at], tile_x[at + 1]);
            for (var c = 0u; c < 4; c++) {
              var sum = pairs[g * ROWS + j][c];
              sum = fma(x[0].xy, w[c][0].xy, sum);
              sum = fma(x[0].zw, w[c][0].zw, sum);
              sum = fma(x[1].xy, w[c][1].xy, sum);
              pairs[g * ROWS + j][c] = fma(x[1].zw, w[c][1].zw, sum);
            }
          }
        }
      }
    }
    for (var i = 0u; i < ROWS * GROUPS; i++) {
      let p = pairs[i];
      sums[i] += vec4f(vec4h(p[0].x, p[1].x, p[2].x, p[3].x));
      sums[i] += vec4f(vec4h(p[0].y, p[1].y, p[2].y, p[3].y));
      pairs[i] = array<vec2h, 4>(); // declared in the loop it kept its values on Mesa 25's software adapter
    }
  }
  for (var g = 0u; g < GROUPS / SETS; g++) {
    let col = first_col + (g * LANES_N + column) * 4;
    for (var j = 0u; j < ROWS; j++) {
      let m = first_row + row + j * LANES_M;
      if (m < params.m && col < params.n) {
        store(z_part, m, col, join(col, sums[g * ROWS + j], sums[(g + SETS - 1) * ROWS + j]));
      }
    }
  }
}
