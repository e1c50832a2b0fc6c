// Brings a piece of a stored tensor into a model's memory: from F32, F16 or BF16 to W, and from [O, I, T] (T taps of a
// convolution innermost) to [O, T, I] (channels last); T = 1 keeps the order. One invocation per element.
// words: the file's bytes, w: the tensor, flags[tensor]: bit 0 a value is NaN or infinite, bit 1 one overflows W.
// After lib/grid.wgsl.
alias W = f32;

struct Params {
  count: u32, // elements of this piece
  first: u32, // element of the tensor that the piece begins with; a whole row of I * T elements begins there
  kind: u32, // 0 F32, 1 F16, 2 BF16
  inputs: u32, // I
  taps: u32, // T
  tensor: u32, // number of the tensor
  largest: f32, // of W's numbers
}

@group(0) @binding(0) var<storage, read> words: array<u32>;
@group(0) @binding(1) var<storage, read_write> w: array<W>;
@group(0) @binding(2) var<storage, read_write> flags: array<atomic<u32>>;
@group(0) @binding(3) var<uniform> params: Params;

fn half_word(i: u32) -> u32 {
  return (words[i / 2u] >> (i % 2u * 16u)) & 0xffffu;
}

/// Element i of the piece as the bits of an f32; NaN and infinity stay recognisable by their exponent.
fn bits_of(i: u32) -> u32 {
  switch (params.kind) {
    case 0u: { return words[i]; }
    case 2u: { return half_word(i) << 16u; }
    default: {
      let half = half_word(i);
      if ((half & 0x7c00u) == 0x7c00u) { return ((half & 0x8000u) << 16u) | 0x7f800000u | ((half & 0x3ffu) << 13u); }
      return bitcast<u32>(unpack2x16float(half).x);
    }
  }
}

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let place = workgroup_number(id, grid) * 64u + lane;
  if (place >= params.count) { return; }
  var source = place;
  if (params.taps > 1u) {
    let block = params.inputs * params.taps;
    let rest = place % block;
    source = place - rest + rest % params.inputs * params.taps + rest / params.inputs;
  }
  let bits = bits_of(source);
  let value = bitcast<f32>(bits);
  if ((bits & 0x7f800000u) == 0x7f800000u) {
    atomicOr(&flags[params.tensor], 1u);
  } else if (abs(value) > params.largest) {
    atomicOr(&flags[params.tensor], 2u);
  }
  w[params.first + place] = W(value);
}
