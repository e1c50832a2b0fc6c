// Reads w: array<u32> packed as int4: 64 elements are 8 words of eight, then one word of two f16, the steps of both halves.

/// Elements i to i + 3; a nibble holds a number of steps, 8 too many.
fn load_packed(i: u32) -> vec4f {
  let block = i / 64 * 9;
  let within = i % 64;
  let steps = unpack2x16float(w[block + 8]);
  let nibbles = vec4u(w[block + within / 8]) >> (vec4u(0, 4, 8, 12) + within % 8 * 4);
  return (vec4f(nibbles & vec4u(15)) - 8) * select(steps.x, steps.y, within >= 32);
}
