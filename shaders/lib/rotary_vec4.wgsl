// Reads for rotary.wgsl, four values at a time: D and every stride and offset are multiples of 4,
// in halves D / 2 too.

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

/// The other values of the pairs of columns c to c + 3, in halves.
fn load_other(part: u32, start: u32, c: u32) -> vec4f {
  return load(part, start, (c + params.width / 2u) % params.width);
}

fn load_weight_across(part: u32, c: u32) -> vec4f {
  return load_weight(part, (c + params.width / 2u) % params.width);
}

/// The cosines (0) or sines (1) of a row of the tables for columns c to c + 3, in halves.
fn load_turns(which: u32, row: u32, c: u32) -> vec4f {
  let half = params.width / 2u;
  let at = (row * half + c % half) / 2u;
  if (which == 0u) { return vec4f(cosines[at], cosines[at + 1u]); }
  return vec4f(sines[at], sines[at + 1u]);
}
