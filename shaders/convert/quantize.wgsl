// Writes a piece of a stored tensor into a model's memory as whole numbers of BITS bits with a scale for each group of 32
// elements, rounded to nearest. One invocation per block of two groups: their words, lowest bits first, then both scales
// as f16 in one word.
// 8 bits: a group's scale s is its largest magnitude, and q of -127 to 127 stands for q / 127 * s.
// 4 bits: s is the value of largest magnitude over -8, and q of 0 to 15 stands for (q - 8) * s (as GGUF's Q4_0).
// notes: words 1 and 2 of a tensor sum up the squares of its errors and of its values, as f32.
// With lib/workgroup_main.wgsl, convert/lib/stored.wgsl and one of convert/lib/stored_*.wgsl.
// Host sets: BITS.
const BITS: u32 = 8;
const WG: u32 = 64;

var<storage, read_write> w: array<u32>;

var<private> sums: vec2f; // of this invocation: squared errors, squared values
var<workgroup> all_sums: array<vec2f, WG>;

/// Writes the words of the group that begins with element `first` of the piece, and returns its scale. Its loops end at
/// a number from memory, as a software driver unrolls others, which takes half a minute.
fn pack_group(first: u32, word: u32) -> f32 {
  let count = min(32u, params.count - first);
  var values: array<f32, 32>;
  var extreme = 0.0;
  for (var i = 0u; i < count; i++) {
    let value = value_at(first + i);
    if (abs(value) > abs(extreme)) { extreme = value; }
    values[i] = value;
  }
  let scale = unpack2x16float(pack2x16float(vec2f(select(extreme / -8.0, abs(extreme), BITS == 8u), 0.0))).x;
  let step = select(scale, scale / 127.0, BITS == 8u);
  let offset = select(8.0, 0.0, BITS == 8u);
  let low = select(0.0, -127.0, BITS == 8u);
  let high = select(15.0, 127.0, BITS == 8u);
  var packed = 0u;
  for (var i = 0u; i < count; i++) {
    let q = select(clamp(round(values[i] / step) + offset, low, high), offset, step == 0.0);
    let error = (q - offset) * step - values[i];
    sums += vec2f(error * error, values[i] * values[i]);
    let bit = i * BITS % 32u;
    packed |= (u32(i32(q)) & ((1u << BITS) - 1u)) << bit;
    if (bit + BITS == 32u) {
      w[word + i * BITS / 32u] = packed;
      packed = 0u;
    }
  }
  return scale;
}

fn add_to(note: u32, amount: f32) {
  var old = atomicLoad(&notes[note]);
  loop {
    let result = atomicCompareExchangeWeak(&notes[note], old, bitcast<u32>(bitcast<f32>(old) + amount));
    if (result.exchanged) { break; }
    old = result.old_value;
  }
}

fn run(number: u32, lane: u32) {
  let first = (number * WG + lane) * 64u;
  if (first < params.count) {
    let word = (params.first + first) / 64u * (2u * BITS + 1u);
    var scales: vec2f;
    for (var i = 0u; i < min(2u, (params.count - first) / 32u); i++) {
      scales[i] = pack_group(first + 32u * i, word + BITS * i);
    }
    w[word + 2u * BITS] = pack2x16float(scales);
  }
  all_sums[lane] = sums;
  workgroupBarrier();
  if (lane > 0u) { return; }
  var total = vec2f();
  for (var i = 0u; i < WG; i++) { total += all_sums[i]; }
  add_to(3u * params.tensor + 1u, total.x);
  add_to(3u * params.tensor + 2u, total.y);
}
