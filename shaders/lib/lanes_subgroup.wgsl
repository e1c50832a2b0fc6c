// A workgroup of WG lanes in one subgroup, which reduces without workgroup memory and barriers: WG is at most the adapter's
// smallest subgroup. A kernel that uses it is `run(number, lane)`, for the workgroup of that number. With lib/workgroup_main.wgsl.
// Host sets: WG.
const WG: u32 = 8;

/// Two sums over all lanes; every lane gets them.
fn workgroup_sums(values: vec2f, lane: u32) -> vec2f {
  return subgroupAdd(values);
}

/// The largest value of all lanes; every lane gets it.
fn workgroup_max(value: f32, lane: u32) -> f32 {
  return subgroupMax(value);
}
