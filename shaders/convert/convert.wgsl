// Brings a piece of a stored tensor into a model's memory as W. One invocation per element.
// With lib/grid.wgsl, convert/lib/stored.wgsl and one of convert/lib/stored_*.wgsl.
// Host sets: W.
alias W = f32;

var<storage, read_write> w: array<W>;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let place = workgroup_number(id, grid) * 64u + lane;
  if (place >= params.count) { return; }
  w[params.first + place] = W(value_at(place));
}
