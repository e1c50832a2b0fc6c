// Matrix product of few rows, which reads each weight once:
// y[z, m, n] = sum over taps and k of x[z, row(m, tap), k] * w[z, n, tap, k], in f32.
// x, w and Params: see gemm/operands/: rows_*, x_* and w_*; store(z, m, n, four columns) takes the sums.
// A workgroup computes ROWS rows of four columns; they are numbered by columns first, then rows, then z. Its lanes take
// turns along k, four channels each, so that together they read whole runs of weights. Then they add up their sums.
// Host sets: ROWS.
const ROWS: u32 = 1;

const WG: u32 = 64;
var<workgroup> all_sums: array<vec4f, WG * ROWS>; // [lane][row]

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let number = id.x + id.y * grid.x;
  let quads = (params.n + 3) / 4;
  let tiles = (params.m + ROWS - 1) / ROWS;
  let z = number / (quads * tiles);
  if (z >= params.z) {
    return;
  }
  let col = number % quads * 4;
  let first_row = number / quads % tiles * ROWS;

  var sums: array<vec4f, ROWS>;
  for (var tap = 0u; tap < params.taps; tap++) {
    var start: array<i32, ROWS>;
    for (var j = 0u; j < ROWS; j++) {
      start[j] = row_start(z, min(first_row + j, params.m - 1), tap);
    }
    for (var k = lane * 4; k < params.k; k += WG * 4) {
      let w = values_w(fetch_w(z, col, tap, k));
      for (var j = 0u; j < ROWS; j++) {
        let v = values_x(fetch_x(start[j], k), start[j]);
        sums[j] = fma(v.xxxx, w[0], sums[j]);
        sums[j] = fma(v.yyyy, w[1], sums[j]);
        sums[j] = fma(v.zzzz, w[2], sums[j]);
        sums[j] = fma(v.wwww, w[3], sums[j]);
      }
    }
  }
  for (var j = 0u; j < ROWS; j++) {
    all_sums[lane * ROWS + j] = sums[j];
  }
  for (var rest = WG * ROWS / 2; rest >= ROWS; rest /= 2) { // the sums of half of the lanes are added to those of the others
    workgroupBarrier();
    for (var i = lane; i < rest; i += WG) {
      all_sums[i] += all_sums[i + rest];
    }
  }
  workgroupBarrier();
  if (lane < ROWS && first_row + lane < params.m) {
    store(z, first_row + lane, col, all_sums[lane]);
  }
}
