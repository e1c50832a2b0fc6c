// The entry of a kernel `run(number, lane)`, for the workgroup of that number, of WG invocations. With lib/grid.wgsl.
@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  run(workgroup_number(id, grid), lane);
}
