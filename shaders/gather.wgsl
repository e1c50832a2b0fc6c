// Rows of a table by their numbers: y[i, :] = table[ids[i], :]. Numbers out of range take the nearest row.
// table: [rows, width] as x, ids: [count], y: [count, width]. One invocation per value(s).
// After lib/grid.wgsl, lib/values_*.wgsl.
alias Id = i32;
struct Params {
  rows: u32,
  width: u32,
  count: u32,
}

@group(0) @binding(1) var<storage, read> ids: array<Id>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let runs = params.width / LANES;
  let place = workgroup_number(id, grid) * 64u + lane;
  let i = place / runs;
  if (i >= params.count) { return; }
  let column = place % runs * LANES;
  let row = u32(clamp(i32(ids[i]), 0, i32(params.rows) - 1));
  store(0u, i, column, load(row * params.width + column));
}
