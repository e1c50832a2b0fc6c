// Sorts each block of BLOCK columns of each row: y[row, i] = the column whose value comes at place i of its block.
// x: [rows, columns], y: [rows, columns]. A workgroup sorts a block in its memory by a bitonic network (Batcher 1968);
// equal values keep their order, as the column is part of what is compared. With lib/workgroup_main.wgsl, lib/sort_key.wgsl.
// Host sets: BLOCK, WG.
const BLOCK: u32 = 512;
const WG: u32 = 256; // half of BLOCK
struct Params {
  rows: u32,
  columns: u32,
  flip: u32, // xored to the keys: all ones to sort downwards
}

var<uniform> params: Params;

var<workgroup> keys: array<u32, BLOCK>;
var<workgroup> places: array<u32, BLOCK>;

fn run(group: u32, lane: u32) {
  let blocks = (params.columns + BLOCK - 1) / BLOCK;
  let row = group / blocks;
  if (row >= params.rows) { return; }
  let start = group % blocks * BLOCK;
  for (var i = lane; i < BLOCK; i += WG) {
    let column = start + i;
    // Beyond the end: behind all others, whatever their keys.
    var key = 0xffffffffu;
    if (column < params.columns) { key = key_at(row * params.columns + column) ^ params.flip; }
    keys[i] = key;
    places[i] = column;
  }
  for (var size = 2u; size <= BLOCK; size *= 2u) {
    for (var stride = size / 2u; stride > 0u; stride /= 2u) {
      workgroupBarrier();
      let low = lane / stride * stride * 2u + lane % stride;
      let high = low + stride;
      let behind = keys[low] > keys[high] || (keys[low] == keys[high] && places[low] > places[high]);
      if (behind == ((low & size) == 0u)) {
        let key = keys[low];
        keys[low] = keys[high];
        keys[high] = key;
        let place = places[low];
        places[low] = places[high];
        places[high] = place;
      }
    }
  }
  workgroupBarrier();
  for (var i = lane; i < BLOCK; i += WG) {
    if (start + i < params.columns) { store(0u, row, start + i, i32(places[i])); }
  }
}
