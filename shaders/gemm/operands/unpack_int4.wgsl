// Reads w: array<u32> packed as int4: 64 elements are 8 words of eight, then one word of two f16, the steps of both halves.
struct Packed {
  word: u32, // with the four elements lowest
  steps: u32,
  second: bool, // the half that they are in
}

/// Elements i to i + 3, as they are stored.
fn fetch_packed(i: u32) -> Packed {
  let block = i / 64 * 9;
  let within = i % 64;
  return Packed(w[block + within / 8] >> (within % 8 * 4), w[block + 8], within >= 32);
}

/// Their values; a nibble holds a number of steps, 8 too many.
fn unpack(packed: Packed) -> vec4f {
  let steps = unpack2x16float(packed.steps);
  let nibbles = vec4u(packed.word) >> vec4u(0, 4, 8, 12);
  return (vec4f(nibbles & vec4u(15)) - 8) * select(steps.x, steps.y, packed.second);
}
