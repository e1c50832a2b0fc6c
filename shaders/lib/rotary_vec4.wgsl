// What rotary.wgsl reads, four values at a time: D and every stride and offset are multiples of 4.
// Host sets: X, W.
alias X = f32; // f16 where the tensors are
alias W = f32; // f16 where the norms' weights are
var<storage, read> x0: array<vec4<X>>;
var<storage, read> x1: array<vec4<X>>;
var<storage, read> weight0: array<vec4<W>>;
var<storage, read> weight1: array<vec4<W>>;
var<storage, read> cosines: array<vec2f>;
var<storage, read> sines: array<vec2f>;

/// Columns c to c + 3 of the row that begins at start.
fn load(part: u32, start: u32, c: u32) -> vec4f {
  let at = (start + c) / 4u;
  if (part == 0u) { return vec4f(x0[at]); }
  return vec4f(x1[at]);
}

fn load_weight(part: u32, c: u32) -> vec4f {
  if (part == 0u) { return vec4f(weight0[c / 4u]); }
  return vec4f(weight1[c / 4u]);
}

/// The cosines (0) or sines (1) of two pairs from pair i on, an even one, each for both values of its pair.
fn load_pairs(which: u32, i: u32) -> vec4f {
  if (which == 0u) { return cosines[i / 2u].xxyy; }
  return sines[i / 2u].xxyy;
}
