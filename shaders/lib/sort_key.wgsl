// Numbers as unsigned keys of the same order: NaN is the largest, both zeros are one key.
// Host sets: X, T, FLOAT, SIGN.
alias X = f32; // the stored type of x
alias T = f32; // the type that X is computed as
const FLOAT: bool = true; // T is f32
const SIGN: u32 = 0; // 0x80000000 for i32
const NAN_KEY: u32 = 0xffffffff;
var<storage, read> x: array<X>;

/// The key of element i of x.
fn key_at(i: u32) -> u32 {
  let bits = bitcast<u32>(T(x[i]));
  if (!FLOAT) { return bits ^ SIGN; }
  let magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) { return NAN_KEY; }
  if (magnitude == 0u) { return 0x80000000u; }
  return select(bits | 0x80000000u, ~bits, bits >= 0x80000000u);
}
