// The entry of a kernel on matrix units that asks for the size of its subgroups: it hands over to `run`.
@compute @workgroup_size(WG) @subgroup_size(LANES)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
  run(id.x + id.y * grid.x, lane, subgroup, subgroup_lane);
}
