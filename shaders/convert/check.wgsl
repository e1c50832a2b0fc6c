// Looks through a tensor that lies in a model's memory as its file has it: the notes of convert/lib/stored.wgsl alone.
// One invocation per element.
// With lib/grid.wgsl, convert/lib/stored.wgsl and convert/lib/stored_elements.wgsl.
@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let place = workgroup_number(id, grid) * 64u + lane;
  if (place < params.count) { _ = value_at(place); }
}
