// Reads w: array<u32> packed as int8: 64 elements are 16 words of four, then one word of two f16, the largest magnitudes
// of both halves.
struct Packed {
  word: u32,
  largest: u32,
  second: bool, // the half that the elements are in
}

/// Elements i to i + 3, as they are stored.
fn fetch_packed(i: u32) -> Packed {
  let block = i / 64 * 17;
  let within = i % 64;
  return Packed(w[block + within / 4], w[block + 16], within >= 32);
}

/// Their values; a word holds them as fractions of 127.
fn unpack(packed: Packed) -> vec4f {
  let largest = unpack2x16float(packed.largest);
  return unpack4x8snorm(packed.word) * select(largest.x, largest.y, packed.second);
}
