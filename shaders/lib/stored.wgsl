// Reads a piece of a stored tensor: F32, F16, BF16 or one of the 8-bit types, from [O, I, T] (T taps of a convolution
// innermost) to [O, T, I] (channels last); T = 1 keeps the order.
// words: the file's bytes; notes: three words a tensor, of which the first has bit 0 where a value is NaN or infinite and
// bit 1 where one is beyond `largest`; scales: what elements are multiplied by, one for each `scaled` of them.
struct Params {
  count: u32, // elements of this piece
  first: u32, // element of the tensor that the piece begins with; a whole row of I * T elements begins there
  kind: u32, // 0 F32, 1 F16, 2 BF16, 3 F8_E4M3, 4 F8_E5M2
  inputs: u32, // I
  taps: u32, // T
  tensor: u32, // number of the tensor
  largest: f32, // of the numbers that the tensor is brought to
  scaled: u32, // elements that share a scale; 0: there is none
}

@group(0) @binding(0) var<storage, read> words: array<u32>;
@group(0) @binding(2) var<storage, read_write> notes: array<atomic<u32>>;
@group(0) @binding(3) var<storage, read> scales: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

fn byte_of(i: u32) -> u32 {
  return (words[i / 4u] >> (i % 4u * 8u)) & 0xffu;
}

fn half_word(i: u32) -> u32 {
  return (words[i / 2u] >> (i % 2u * 16u)) & 0xffffu;
}

/// A number of five bits of exponent, with its sign in bit 15, as the bits of an f32.
fn from_half(half: u32) -> u32 {
  if ((half & 0x7c00u) == 0x7c00u) { return ((half & 0x8000u) << 16u) | 0x7f800000u | ((half & 0x3ffu) << 13u); }
  return bitcast<u32>(unpack2x16float(half).x);
}

/// A number of four bits of exponent and three of mantissa, biased by 7: no infinity, one NaN of each sign.
fn from_e4m3(code: u32) -> u32 {
  let sign = (code & 0x80u) << 24u;
  let rest = code & 0x7fu;
  if (rest == 0x7fu) { return sign | 0x7fc00000u; }
  if (rest < 8u) { return sign | bitcast<u32>(f32(rest) * 0.001953125); } // subnormal: units of 2^-9
  return sign | ((rest << 20u) + (120u << 23u));
}

/// Element i of the piece as the bits of an f32; NaN and infinity stay recognisable by their exponent.
fn bits_of(i: u32) -> u32 {
  switch (params.kind) {
    case 0u: { return words[i]; }
    case 2u: { return half_word(i) << 16u; }
    case 3u: { return from_e4m3(byte_of(i)); }
    case 4u: { return from_half(byte_of(i) << 8u); }
    default: { return from_half(half_word(i)); }
  }
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
