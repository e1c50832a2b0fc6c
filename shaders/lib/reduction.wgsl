// Reduces one value per invocation over a workgroup of WG; every invocation gets the result.
// Host sets: WG.
const WG: u32 = 64;
var<workgroup> partial: array<f32, WG>;

fn workgroup_sum(value: f32, lane: u32) -> f32 {
  workgroupBarrier(); // a reduction before this one may still be read
  partial[lane] = value;
  for (var stride = WG / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (lane < stride) { partial[lane] += partial[lane + stride]; }
  }
  workgroupBarrier();
  return partial[0];
}

fn workgroup_max(value: f32, lane: u32) -> f32 {
  workgroupBarrier();
  partial[lane] = value;
  for (var stride = WG / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (lane < stride) { partial[lane] = max(partial[lane], partial[lane + stride]); }
  }
  workgroupBarrier();
  return partial[0];
}
