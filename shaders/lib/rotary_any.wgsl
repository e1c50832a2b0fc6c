// Reads for rotary.wgsl, value by value: any even D, any strides and offsets.

/// Columns c to c + 3 of the row that begins at start; zero beyond the last.
fn load(part: u32, start: u32, c: u32) -> vec4f {
  let ahead = select(0u, 2u, c + 2u < params.width);
  let at = start + c + vec4u(0u, 1u, ahead, ahead + 1u);
  var v: vec4f;
  if (part == 0u) { v = vec4f(f32(x0[at.x]), f32(x0[at.y]), f32(x0[at.z]), f32(x0[at.w])); }
  else { v = vec4f(f32(x1[at.x]), f32(x1[at.y]), f32(x1[at.z]), f32(x1[at.w])); }
  return select(vec4f(v.xy, 0.0, 0.0), v, ahead == 2u);
}

fn load_weight(part: u32, c: u32) -> vec4f {
  let ahead = select(0u, 2u, c + 2u < params.width);
  let at = c + vec4u(0u, 1u, ahead, ahead + 1u);
  if (part == 0u) { return vec4f(f32(weight0[at.x]), f32(weight0[at.y]), f32(weight0[at.z]), f32(weight0[at.w])); }
  return vec4f(f32(weight1[at.x]), f32(weight1[at.y]), f32(weight1[at.z]), f32(weight1[at.w]));
}

/// The cosines (0) or sines (1) of two pairs from pair i on, each for both values of its pair.
fn load_pairs(which: u32, i: u32) -> vec4f {
  if (which == 0u) { return vec4f(cosines[i], cosines[i], cosines[i + 1u], cosines[i + 1u]); }
  return vec4f(sines[i], sines[i], sines[i + 1u], sines[i + 1u]);
}

/// Columns c to c + 3, each of them the other one of its pair in halves; beyond the last any.
fn others_of(c: u32) -> vec4u {
  return (c + vec4u(0u, 1u, 2u, 3u) + params.width / 2u) % params.width;
}

fn load_other(part: u32, start: u32, c: u32) -> vec4f {
  let at = start + others_of(c);
  if (part == 0u) { return vec4f(f32(x0[at.x]), f32(x0[at.y]), f32(x0[at.z]), f32(x0[at.w])); }
  return vec4f(f32(x1[at.x]), f32(x1[at.y]), f32(x1[at.z]), f32(x1[at.w]));
}

fn load_weight_across(part: u32, c: u32) -> vec4f {
  let at = others_of(c);
  if (part == 0u) { return vec4f(f32(weight0[at.x]), f32(weight0[at.y]), f32(weight0[at.z]), f32(weight0[at.w])); }
  return vec4f(f32(weight1[at.x]), f32(weight1[at.y]), f32(weight1[at.z]), f32(weight1[at.w]));
}

/// The cosines (0) or sines (1) of a row of the tables for columns c to c + 3, in halves.
fn load_turns(which: u32, row: u32, c: u32) -> vec4f {
  let half = params.width / 2u;
  let at = row * half + (c + vec4u(0u, 1u, 2u, 3u)) % half;
  if (which == 0u) { return vec4f(cosines[at.x], cosines[at.y], cosines[at.z], cosines[at.w]); }
  return vec4f(sines[at.x], sines[at.y], sines[at.z], sines[at.w]);
}
