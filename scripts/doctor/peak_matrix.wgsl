// The adapter's peak on its matrix units: four sums a subgroup that depend on nothing but themselves, f16 with sums in f32.
const M: u32 = 16;
const N: u32 = 16;
const K: u32 = 16;
const WG: u32 = 128;
@group(0) @binding(0) var<storage, read_write> y: array<f32>; // M x N of every workgroup: those of one subgroup stay
@group(0) @binding(1) var<uniform> turns: u32; // of 4 products

var<workgroup> tile: array<f16, 1024>; // K x max(M, N) at most 32 x 32
var<workgroup> sums: array<f32, M * N>;

@compute @workgroup_size(WG)
fn main(@builtin(workgroup_id) id: vec3u, @builtin(local_invocation_index) lane: u32) {
  for (var i = lane; i < 1024; i += WG) {
    tile[i] = f16(f32((i + id.x) % 7) * 0.125 - 0.375); // not known when compiling
  }
  workgroupBarrier();
  let left = subgroupMatrixLoad<subgroup_matrix_left<f16, K, M>, row_major>(&tile, 0, K);
  let right = subgroupMatrixLoad<subgroup_matrix_right<f16, N, K>, col_major>(&tile, 0, K);
  var a = subgroup_matrix_result<f32, N, M>(0);
  var b = subgroup_matrix_result<f32, N, M>(1);
  var c = subgroup_matrix_result<f32, N, M>(2);
  var d = subgroup_matrix_result<f32, N, M>(3);
  for (var i = 0u; i < turns; i++) {
    a = subgroupMatrixMultiplyAccumulate(left, right, a);
    b = subgroupMatrixMultiplyAccumulate(left, right, b);
    c = subgroupMatrixMultiplyAccumulate(left, right, c);
    d = subgroupMatrixMultiplyAccumulate(left, right, d);
  }
  subgroupMatrixStore<row_major>(&sums, 0, a, N);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&sums, 0, b, N);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&sums, 0, c, N);
  workgroupBarrier();
  subgroupMatrixStore<row_major>(&sums, 0, d, N);
  workgroupBarrier();
  for (var i = lane; i < M * N; i += WG) {
    y[id.x * M * N + i] = sums[i];
  }
}
