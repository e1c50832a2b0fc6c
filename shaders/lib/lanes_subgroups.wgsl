// A workgroup of WG lanes, a power of two, in several subgroups: each reduces its own values, and all of them reduce these
// results again, so that two barriers are enough. Nothing is assumed of which lanes a subgroup has.
// A kernel that uses it is `run(number, lane)`, for the workgroup of that number. With lib/grid.wgsl.
// Host sets: WG.
const WG: u32 = 64;
var<workgroup> partial: array<vec2f, WG>; // the values of subgroups, each at the lane that is its first
var<private> place: u32; // within the subgroup
var<private> width: u32; // of the subgroup

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
  @builtin(subgroup_invocation_id) subgroup_place: u32,
  @builtin(subgroup_size) subgroup_width: u32,
) {
  place = subgroup_place;
  width = subgroup_width;
  run(workgroup_number(id, grid), lane);
}

/// Two sums over all lanes; every lane gets them.
fn workgroup_sums(values: vec2f, lane: u32) -> vec2f {
  let own = subgroupAdd(values);
  workgroupBarrier(); // a reduction before this one may still be read
  partial[lane] = select(vec2f(), own, place == 0u);
  workgroupBarrier();
  var sums = vec2f();
  for (var i = place; i < WG; i += width) { sums += partial[i]; }
  return subgroupAdd(sums);
}

/// The largest value of all lanes; every lane gets it.
fn workgroup_max(value: f32, lane: u32) -> f32 {
  workgroupBarrier();
  partial[lane].x = value;
  workgroupBarrier();
  var most = value;
  for (var i = place; i < WG; i += width) { most = max(most, partial[i].x); }
  return subgroupMax(most);
}
