// A workgroup of WG lanes, a power of two, whose values are reduced by halves in workgroup memory; for any adapter.
// A kernel that uses it is `run(number, lane)`, for the workgroup of that number. With lib/workgroup_main.wgsl.
// Host sets: WG.
const WG: u32 = 64;
var<workgroup> partial: array<vec2f, WG>;

/// Two sums over all lanes; every lane gets them.
fn workgroup_sums(values: vec2f, lane: u32) -> vec2f {
  workgroupBarrier(); // a reduction before this one may still be read
  partial[lane] = values;
  for (var stride = WG / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (lane < stride) { partial[lane] += partial[lane + stride]; }
  }
  workgroupBarrier();
  return partial[0];
}

/// The largest value of all lanes; every lane gets it.
fn workgroup_max(value: f32, lane: u32) -> f32 {
  workgroupBarrier();
  partial[lane].x = value;
  for (var stride = WG / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (lane < stride) { partial[lane].x = max(partial[lane].x, partial[lane + stride].x); }
  }
  workgroupBarrier();
  return partial[0].x;
}
