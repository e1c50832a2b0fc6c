// counts[params.slot] += the number of NaN and infinities in x. x [count] dense, in f32 or f16, read as words: their
// exponents tell, so that no compiler takes a comparison with NaN for what it likes. An invocation looks at STEPS vectors
// of four words, neighbours at neighbouring ones; it writes only where it finds something.
// With lib/grid.wgsl.
// Host sets: HALVES.
const HALVES: bool = false; // true where x is f16: two elements a word
const STEPS: u32 = 4;
const WG: u32 = 64;

struct Params {
  count: u32,
  slot: u32,
}

var<storage, read> x: array<vec4u>;
var<storage, read_write> counts: array<atomic<u32>>;
var<uniform> params: Params;

fn ones(these: vec4<bool>) -> u32 {
  let all = select(vec4u(), vec4u(1), these);
  return all.x + all.y + all.z + all.w;
}

/// Those of the vector's elements that are not finite; elements from `left` on lie behind the end.
fn not_finite(words: vec4u, left: u32) -> u32 {
  let place = vec4u(0, 1, 2, 3);
  if (!HALVES) {
    return ones(((words & vec4u(0x7f800000)) == vec4u(0x7f800000)) & (place < vec4u(left)));
  }
  let low = ((words & vec4u(0x7c00)) == vec4u(0x7c00)) & (2 * place < vec4u(left));
  let high = ((words & vec4u(0x7c000000)) == vec4u(0x7c000000)) & (2 * place + 1 < vec4u(left));
  return ones(low) + ones(high);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let each = select(4u, 8u, HALVES);
  var found = 0u;
  for (var step = 0u; step < STEPS; step++) {
    let i = (workgroup_number(id, grid) * STEPS + step) * WG + lane;
    let first = i * each;
    if (first < params.count) { found += not_finite(x[i], params.count - first); }
  }
  if (found > 0) { atomicAdd(&counts[params.slot], found); }
}
