// y[row, part] = sum, mean, min, max or product of a part of x[row, :]. One workgroup per part. x: [rows, columns],
// y: [rows, parts]; a second run reduces the parts.
// A single pass in blocks of 64 columns a lane keeps the rounding error of long sums low (pairwise over lanes).
// With lib/workgroup_main.wgsl.
// Host sets: X, T, FLOAT.
alias X = f32;
alias T = f32; // the type that X is computed as

const FLOAT: bool = true; // T is f32
const WG: u32 = 64;
struct Params {
  rows: u32,
  columns: u32,
  parts: u32,
  length: u32, // of a part; the last may be shorter
  count: u32, // by which a mean is divided
  kind: u32, // 0 sum, 1 mean, 2 min, 3 max, 4 product
}

var<storage, read> x: array<X>;
var<uniform> params: Params;

var<workgroup> partial: array<T, WG>;

fn not_number(v: T) -> bool {
  return FLOAT && (bitcast<u32>(v) & 0x7fffffffu) > 0x7f800000u;
}

/// One value from two; NaN stays, which WGSL's min and max do not promise.
fn combine(a: T, b: T) -> T {
  if (params.kind < 2u) { return a + b; }
  if (params.kind == 4u) { return a * b; }
  if (not_number(a) || not_number(b)) { return a + b; }
  if (params.kind == 2u) { return min(a, b); }
  return max(a, b);
}

fn run(place: u32, lane: u32) {
  if (place >= params.rows * params.parts) { return; }
  let before = place % params.parts * params.length; // columns
  let first = place / params.parts * params.columns + before;
  let columns = min(params.length, params.columns - before);
  var total = T(0);
  if (params.kind == 4u) { total = T(1); } else if (params.kind >= 2u) { total = T(x[first]); }
  for (var block = lane; block < columns; block += WG * 64u) {
    var part = T(x[first + block]);
    for (var i = block + WG; i < min(columns, block + WG * 64u); i += WG) {
      part = combine(part, T(x[first + i]));
    }
    total = combine(total, part);
  }
  partial[lane] = total;
  for (var stride = WG / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (lane < stride) { partial[lane] = combine(partial[lane], partial[lane + stride]); }
  }
  if (lane == 0u) {
    store(0u, 0u, place, select(partial[0], partial[0] / T(params.count), params.kind == 1u));
  }
}
