// The entry of a kernel `run(place)` with one invocation for each place; places beyond the last do nothing. With lib/grid.wgsl.
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  run(workgroup_number(id, grid) * 64u + lane);
}
