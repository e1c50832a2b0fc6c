// Weights in f16, element by element: any n, k, strides and offsets, in either order.
var<storage, read> w: array<f16>;
alias Loaded = vec4u;
const SHIFT_W: u32 = 0; // columns begin at start << SHIFT_W

/// Channels k to k + 7 of the column that begins at start; beyond the last channel that one again: there x is zero.
fn load_w8(z: u32, start: u32, k: u32) -> Loaded {
  let step = channel_step();
  let at = start + min(k, params.k - 1) * step;
  let last = start + (params.k - 1) * step;
  return vec4u(
    load_w2(at, step, last),
    load_w2(at + 2 * step, step, last),
    load_w2(at + 4 * step, step, last),
    load_w2(at + 6 * step, step, last),
  );
}

fn load_w2(at: u32, step: u32, last: u32) -> u32 {
  return bitcast<u32>(vec2h(w[min(at, last)], w[min(at + step, last)]));
}

/// The values, two to a word.
fn halves(loaded: Loaded) -> vec4u {
  return loaded;
}
