// Merges neighbouring sorted runs of `run` columns into runs of twice that: order and y [rows, columns] are columns of x in
// the order of their values. x: [rows, columns]. An invocation makes STEP columns of y: it finds by bisection where their
// first comes from (Green, McColl & Bader 2012, https://arxiv.org/abs/1406.2628), then merges one by one. Of equal
// values those of the first run come first. With lib/element_main.wgsl, lib/sort_key.wgsl.
const STEP: u32 = 8; // divides every run
struct Params {
  rows: u32,
  columns: u32,
  run: u32,
  flip: u32, // xored to the keys: all ones to sort downwards
}

var<storage, read> order: array<i32>;
var<uniform> params: Params;

/// The key at place i of the order so far, in the row that begins at `first`.
fn ordered_key(first: u32, i: u32) -> u32 {
  return key_at(first + u32(order[first + i])) ^ params.flip;
}

fn run(place: u32) {
  let steps = (params.columns + STEP - 1) / STEP;
  let row = place / steps;
  if (row >= params.rows) { return; }
  let first = row * params.columns;
  let column = place % steps * STEP;
  let start = column / (2u * params.run) * 2u * params.run;
  let middle = min(start + params.run, params.columns);
  let end = min(middle + params.run, params.columns);

  // Of the columns in front, how many come from the first run.
  let before = column - start;
  var low = select(0u, before - (end - middle), before > end - middle);
  var high = min(before, middle - start);
  while (low < high) {
    let half = (low + high) / 2u;
    if (ordered_key(first, start + half) <= ordered_key(first, middle + before - 1u - half)) {
      low = half + 1u;
    } else {
      high = half;
    }
  }
  var a = start + low;
  var b = middle + before - low;
  var key_a = 0u;
  var key_b = 0u;
  if (a < middle) { key_a = ordered_key(first, a); }
  if (b < end) { key_b = ordered_key(first, b); }
  for (var i = column; i < min(column + STEP, end); i++) {
    if (a < middle && (b >= end || key_a <= key_b)) {
      store(0u, row, i, order[first + a]);
      a++;
      if (a < middle) { key_a = ordered_key(first, a); }
    } else {
      store(0u, row, i, order[first + b]);
      b++;
      if (b < end) { key_b = ordered_key(first, b); }
    }
  }
}
