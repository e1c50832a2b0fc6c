// Reads for rotary.wgsl, four values at a time: D and every stride and offset are multiples of 4.

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
