// Reads a piece of a stored tensor from [O, I, T] (T taps of a convolution innermost) to [O, T, I] (channels last); T = 1
// keeps the order. One of stored_*.wgsl beside it knows the types: its bits_of(i) gives element i of the piece as the
// bits of an f32, where NaN and infinity stay recognisable by their exponent.
// words: the file's bytes; notes: three words a tensor, of which the first has bit 0 where a value is NaN or infinite and
// bit 1 where one is beyond `largest`; scales: what elements are multiplied by, one for each `scaled` of them.
struct Params {
  count: u32, // elements of this piece
  first: u32, // element of the tensor that the piece begins with; a whole row of I * T elements begins there
  kind: u32, // of its type among those of the snippet
  inputs: u32, // I
  taps: u32, // T
  tensor: u32, // number of the tensor
  largest: f32, // of the numbers in the tensor's new type
  scaled: u32, // elements that share a scale; 0: there is none
}

var<storage, read> words: array<u32>;
var<storage, read_write> notes: array<atomic<u32>>;
var<storage, read> scales: array<f32>;
var<uniform> params: Params;

fn byte_of(i: u32) -> u32 {
  return (words[i / 4u] >> (i % 4u * 8u)) & 0xffu;
}

fn signed_byte(i: u32) -> i32 {
  return i32(byte_of(i) << 24u) >> 24u;
}

fn half_word(i: u32) -> u32 {
  return (words[i / 2u] >> (i % 2u * 16u)) & 0xffffu;
}

/// A number of five bits of exponent, with its sign in bit 15, as the bits of an f32.
fn from_half(half: u32) -> u32 {
  if ((half & 0x7c00u) == 0x7c00u) { return ((half & 0x8000u) << 16u) | 0x7f800000u | ((half & 0x3ffu) << 13u); }
  if ((half & 0x7c00u) == 0u) { // subnormal: units of 2^-24, which unpacking may take for 0
    return ((half & 0x8000u) << 16u) | bitcast<u32>(f32(half & 0x3ffu) * 5.9604644775390625e-8);
  }
  return bitcast<u32>(unpack2x16float(half).x);
}

/// The f16 that begins with a byte, anywhere.
fn half_at(at: u32) -> f32 {
  return bitcast<f32>(from_half(byte_of(at) | (byte_of(at + 1u) << 8u)));
}

/// Element `place` of the piece in the order of memory.
fn value_at(place: u32) -> f32 {
  var source = place;
  if (params.taps > 1u) {
    let block = params.inputs * params.taps;
    let rest = place % block;
    source = place - rest + rest % params.inputs * params.taps + rest / params.inputs;
  }
  var bits = bits_of(source);
  if (params.scaled > 0u) { bits = bitcast<u32>(bitcast<f32>(bits) * scales[(params.first + source) / params.scaled]); }
  let value = bitcast<f32>(bits);
  if ((bits & 0x7f800000u) == 0x7f800000u) {
    atomicOr(&notes[3u * params.tensor], 1u);
  } else if (abs(value) > params.largest) {
    atomicOr(&notes[3u * params.tensor], 2u);
  }
  return value;
}
