// y[i] = a value that follows from i and a seed alone, the same on every adapter: inputs for measuring and checking kernels.
// y [words]: one word of memory each, which an f32 fills, or two f16, or a piece of a packed block (see
// gemm/operands/unpack_*.wgsl). Floats lie within params.scale of 0. An invocation writes a word.
// With lib/element_main.wgsl.
// Host sets: KIND.
const KIND: u32 = 0; // 0 f32, 1 f16, 2 words of 0 and 1, 3 int8, 4 int4, 5 NaN in f32 and in f16

struct Params {
  words: u32,
  seed: u32,
  scale: f32,
}

var<storage, read_write> y: array<u32>;
var<uniform> params: Params;

// PCG's output function (Jarzynski and Olano 2020).
fn mixed(i: u32) -> u32 {
  let state = i * 747796405 + 2891336453;
  let word = ((state >> ((state >> 28) + 4)) ^ state) * 277803737;
  return (word >> 22) ^ word;
}

fn word(i: u32, bits: u32) -> u32 {
  switch KIND {
    case 0: {
      return bitcast<u32>((f32(bits >> 8) * 0x1p-23f - 1) * params.scale);
    }
    case 1: {
      return pack2x16float((vec2f(vec2u(bits, bits >> 16) & vec2u(1023)) - 512) / 512 * params.scale); // exact at 1
    }
    case 2: {
      return bits >> 31;
    }
    case 3: {
      return select(bits, pack2x16float(vec2f(params.scale)), i % 17 == 16);
    }
    case 4: {
      return select(bits, pack2x16float(vec2f(params.scale / 8)), i % 9 == 8);
    }
    default: {
      return 0x7fff7fff;
    }
  }
}

fn run(i: u32) {
  if (i < params.words) {
    y[i] = word(i, mixed(i + mixed(params.seed)));
  }
}
