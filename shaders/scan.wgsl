// Running sums or products within each block of a row: y[row, block, i] = x[row, block, 0] + … + x[row, block, i].
// x: [rows, columns], y: [rows, blocks, WG * run]; places of y beyond the columns are not written. One workgroup a block, each
// invocation takes `run` columns one after the other. With lib/workgroup_main.wgsl.
// Host sets: X, T.
alias X = f32;
alias T = f32; // the type that X is computed as
const WG: u32 = 64;
struct Params {
  rows: u32,
  columns: u32,
  blocks: u32,
  run: u32,
  product: u32, // 1 for products
}

var<storage, read> x: array<X>;
var<uniform> params: Params;

var<workgroup> totals: array<T, WG>;

fn combine(a: T, b: T) -> T {
  if (params.product == 1u) { return a * b; }
  return a + b;
}

fn run(group: u32, lane: u32) {
  let row = group / params.blocks;
  if (row >= params.rows) { return; }
  let first = row * params.columns;
  let block = group % params.blocks;
  let start = (block * WG + lane) * params.run;
  let end = min(start + params.run, params.columns);
  let nothing = T(params.product);
  var total = nothing;
  for (var i = start; i < end; i++) { total = combine(total, T(x[first + i])); }
  totals[lane] = total;
  for (var stride = 1u; stride < WG; stride *= 2u) {
    workgroupBarrier();
    var sum = totals[lane];
    if (lane >= stride) { sum = combine(totals[lane - stride], sum); }
    workgroupBarrier();
    totals[lane] = sum;
  }
  workgroupBarrier();
  var sum = nothing;
  if (lane > 0u) { sum = totals[lane - 1u]; }
  for (var i = start; i < end; i++) {
    sum = combine(sum, T(x[first + i]));
    store(0u, row, i, sum);
  }
}
