// The value at a rank of each row, or between two ranks, as torch.quantile: x: [rows, columns], y: [rows]. NaN if any is.
// One workgroup per row selects by radix: four passes, each narrowing the sought value's key by 8 bits through a
// histogram in workgroup memory. With lib/workgroup_main.wgsl, lib/sort_key.wgsl.
const WG: u32 = 64;
struct Params {
  rows: u32,
  columns: u32,
  below: u32, // rank (from 0) of the order statistic below the quantile
  above: u32, // of the one above it: the same or the next
  mix: u32, // 1: interpolates from one to the other, 0: the one below
  weight: f32, // of the one above
}

var<uniform> params: Params;

var<workgroup> histogram: array<atomic<u32>, 256>;
var<workgroup> found: u32; // the key's leading bits, known so far
var<workgroup> rank: u32; // rank sought among keys with these leading bits
var<workgroup> not_above: atomic<u32>; // values whose key is at most the found one
var<workgroup> next: atomic<u32>; // smallest key above it
var<workgroup> largest: atomic<u32>; // of all keys

fn value_of(key: u32) -> f32 {
  return bitcast<f32>(select(~key, key & 0x7fffffffu, key >= 0x80000000u));
}

fn run(row: u32, lane: u32) {
  if (row >= params.rows) { return; }
  let first = row * params.columns;
  if (lane == 0u) {
    found = 0u;
    rank = params.below;
    atomicStore(&not_above, 0u);
    atomicStore(&next, NAN_KEY);
    atomicStore(&largest, 0u);
  }
  for (var round = 0u; round < 4u; round++) {
    let shift = 24u - 8u * round;
    for (var i = lane; i < 256u; i += WG) { atomicStore(&histogram[i], 0u); }
    workgroupBarrier();
    let known = found;
    for (var i = lane; i < params.columns; i += WG) {
      let key = key_at(first + i);
      if (round == 0u || (key >> (shift + 8u)) == known) { atomicAdd(&histogram[(key >> shift) & 255u], 1u); }
    }
    workgroupBarrier();
    if (lane == 0u) {
      var left = rank;
      var digit = 0u;
      while (digit < 255u && left >= atomicLoad(&histogram[digit])) {
        left -= atomicLoad(&histogram[digit]);
        digit++;
      }
      found = (known << 8u) | digit;
      rank = left;
    }
    workgroupBarrier();
  }
  let low = found;
  for (var i = lane; i < params.columns; i += WG) {
    let key = key_at(first + i);
    atomicMax(&largest, key);
    if (key <= low) { atomicAdd(&not_above, 1u); } else { atomicMin(&next, key); }
  }
  workgroupBarrier();
  if (lane == 0u) {
    var value = value_of(low);
    if (atomicLoad(&largest) == NAN_KEY) {
      value = value_of(NAN_KEY);
    } else if (params.mix == 1u) {
      let high = value_of(select(atomicLoad(&next), low, atomicLoad(&not_above) > params.above));
      let step = high - value;
      // torch's lerp, which begins at the nearer end
      value = select(high - step * (1.0 - params.weight), value + params.weight * step, params.weight < 0.5);
    }
    store(0u, 0u, row, value);
  }
}
