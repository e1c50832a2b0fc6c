// Reads w: array<u32> packed as int8: 64 elements are 16 words of four, then one word of two f16, the largest magnitudes
// of both halves.

/// Elements i to i + 3; a word holds them as fractions of 127.
fn load_packed(i: u32) -> vec4f {
  let block = i / 64 * 17;
  let within = i % 64;
  let largest = unpack2x16float(w[block + 16]);
  return unpack4x8snorm(w[block + within / 4]) * select(largest.x, largest.y, within >= 32);
}
