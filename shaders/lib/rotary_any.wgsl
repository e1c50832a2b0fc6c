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
