// Matrix product and convolution for software adapters with subgroups:
// y[z, m, n] = sum over taps and k of x[z, row(m, tap), k] * w[z, n, tap, k], summed in f32.
// x, w and Params: see gemm/operands/: rows_*, x_* and w_*; store(z, m, n, four columns) takes the sums.
// A workgroup is one subgroup and computes a tile of ROWS x 4 * SG outputs; tiles count rows first, then columns, then z.
// A lane loads rows lane, lane + SG, … of x and owns 4 adjacent columns of y. Fast because such an adapter runs a load
// as a loop over the lanes: each value is loaded once and handed round in registers, and nothing waits at a barrier.
// Host sets: SG, ROWS.
const SG: u32 = 8; // lanes of a subgroup: 8, 16 or 32
const ROWS: u32 = 32; // rows of a tile: 8, 16, 24 or 32
const LOADS: u32 = (ROWS + SG - 1) / SG; // rows of x that a lane loads

@compute @workgroup_size(SG)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let tile = id.x + id.y * grid.x;
  let tiles_m = (params.m + ROWS - 1) / ROWS;
  let tiles_n = (params.n + 4 * SG - 1) / (4 * SG);
  let z = tile / (tiles_m * tiles_n);
  if (z >= params.z) {
    return;
  }
  let first_row = tile % tiles_m * ROWS;
  let col = (tile / tiles_m % tiles_n * SG + lane) * 4;

  var sums: array<vec4f, ROWS>;
  for (var tap = 0u; tap < params.taps; tap++) {
    var start: array<i32, LOADS>;
    for (var i = 0u; i < LOADS; i++) {
      start[i] = row_start(z, min(first_row + i * SG + lane, params.m - 1), tap);
    }
    for (var k = 0u; k < params.k; k += 4) {
      let weights = values_w(fetch_w(z, col, tap, k));
      var values: array<vec4f, LOADS>; // loaded together: 1.1 times as fast as one by one
      for (var i = 0u; i < LOADS; i++) {
        values[i] = values_x(fetch_x(start[i], k), start[i]);
      }
      for (var i = 0u; i < LOADS; i++) {
        add_rows(&sums, i * SG, weights, values[i]);
      }
    }
  }
  // A loop of run-time length over a copy: one store in the compiled code instead of ROWS, and sums stay registers.
  var result = sums;
  let rows = min(ROWS, params.m - first_row);
  for (var i = 0u; i < rows; i++) {
    if (col < params.n) {
      store(z, first_row + i, col, result[i]);
    }
  }
}

/// Adds weights * (lane l's values) to row first + l, for every lane l; a broadcast wants a constant lane.
fn add_rows(sums: ptr<function, array<vec4f, ROWS>>, first: u32, weights: mat4x4f, values: vec4f) {
  (*sums)[first] += weights * subgroupBroadcast(values, 0);
  (*sums)[first + 1] += weights * subgroupBroadcast(values, 1);
  (*sums)[first + 2] += weights * subgroupBroadcast(values, 2);
  (*sums)[first + 3] += weights * subgroupBroadcast(values, 3);
  (*sums)[first + 4] += weights * subgroupBroadcast(values, 4);
  (*sums)[first + 5] += weights * subgroupBroadcast(values, 5);
  (*sums)[first + 6] += weights * subgroupBroadcast(values, 6);
  (*sums)[first + 7] += weights * subgroupBroadcast(values, 7);
  if (SG > 8 && first + 8 < ROWS) {
    (*sums)[first + 8] += weights * subgroupBroadcast(values, 8);
    (*sums)[first + 9] += weights * subgroupBroadcast(values, 9);
    (*sums)[first + 10] += weights * subgroupBroadcast(values, 10);
    (*sums)[first + 11] += weights * subgroupBroadcast(values, 11);
    (*sums)[first + 12] += weights * subgroupBroadcast(values, 12);
    (*sums)[first + 13] += weights * subgroupBroadcast(values, 13);
    (*sums)[first + 14] += weights * subgroupBroadcast(values, 14);
    (*sums)[first + 15] += weights * subgroupBroadcast(values, 15);
  }
  if (SG > 16 && first + 16 < ROWS) {
    (*sums)[first + 16] += weights * subgroupBroadcast(values, 16);
    (*sums)[first + 17] += weights * subgroupBroadcast(values, 17);
    (*sums)[first + 18] += weights * subgroupBroadcast(values, 18);
    (*sums)[first + 19] += weights * subgroupBroadcast(values, 19);
    (*sums)[first + 20] += weights * subgroupBroadcast(values, 20);
    (*sums)[first + 21] += weights * subgroupBroadcast(values, 21);
    (*sums)[first + 22] += weights * subgroupBroadcast(values, 22);
    (*sums)[first + 23] += weights * subgroupBroadcast(values, 23);
  }
}
