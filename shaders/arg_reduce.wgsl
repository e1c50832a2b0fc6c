// y[row] = the first column of the largest or smallest value of x[row, :]; NaN counts as either. One workgroup a row.
// x: [rows, columns], y: [rows]. With lib/workgroup_main.wgsl, lib/sort_key.wgsl.
const WG: u32 = 64;
struct Params {
  rows: u32,
  columns: u32,
  smallest: u32, // 1 for the smallest
}

var<uniform> params: Params;

var<workgroup> keys: array<u32, WG>;
var<workgroup> places: array<u32, WG>;

fn run(row: u32, lane: u32) {
  if (row >= params.rows) { return; }
  var best = 0u;
  var at = 0xffffffffu; // none yet
  for (var i = lane; i < params.columns; i += WG) {
    var key = key_at(row * params.columns + i);
    if (params.smallest == 1u && !(FLOAT && key == NAN_KEY)) { key = ~key; }
    if (key > best || at == 0xffffffffu) {
      best = key;
      at = i;
    }
  }
  keys[lane] = best;
  places[lane] = at;
  for (var stride = WG / 2u; stride > 0u; stride /= 2u) {
    workgroupBarrier();
    if (lane < stride) {
      let other = lane + stride;
      let larger = keys[other] > keys[lane] || (keys[other] == keys[lane] && places[other] < places[lane]);
      if (larger && places[other] != 0xffffffffu) {
        keys[lane] = keys[other];
        places[lane] = places[other];
      }
    }
  }
  if (lane == 0u) { store(0u, 0u, row, i32(places[0])); }
}
