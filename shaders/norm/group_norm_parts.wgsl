// The second half of group normalisation where groups are large: y = (x - mean) / sqrt(var + eps), without its affine part.
// x: see picture_*; y: [B, pixels, C]; moments: [B, groups, parts, 3] of group_parts.wgsl. One workgroup per (slice,
// part) as there; it joins the moments of its groups' parts (Chan, Golub & LeVeque 1979, Stanford report STAN-CS-79-773) as
// distances from the first part's mean, where they keep their digits.
// With lib/: values_*; norm/lib/: group_params, group_lanes, picture_*, put_*.
const FEW: u32 = 4; // loads of a lane that are under way at once

var<storage, read> moments: array<f32>;

/// The share of all pixels that a part has.
fn share(part: u32) -> f32 {
  return f32(min(params.part, params.pixels - part * params.part)) / f32(params.pixels);
}

fn run(number: u32, lane: u32) {
  let first_group = number / params.parts * (ACROSS / PER); // of all images
  let image = first_group / params.groups;
  if (image >= params.images) { return; }
  let row = lane / ACROSS;
  let column = lane % ACROSS;

  let of_group = (first_group + column / PER) * params.parts * 3u;
  let mean = moments[of_group];
  let first_part = select(params.parts, row * PER + column % PER, row < ROWS);
  var distance = 0.0;
  for (var part = first_part; part < params.parts; part += ROWS * PER) {
    let at = of_group + part * 3u;
    distance += (moments[at] - mean + moments[at + 1u]) * share(part);
  }
  distance = group_sums(vec2f(distance, 0.0), lane).x;
  var variance = 0.0;
  for (var part = first_part; part < params.parts; part += ROWS * PER) {
    let at = of_group + part * 3u;
    let d = moments[at] - mean + moments[at + 1u] - distance;
    variance += (moments[at + 2u] + d * d) * share(part);
  }
  let scale = inverseSqrt(group_sums(vec2f(variance, 0.0), lane).x + params.eps);

  let channel = first_group % params.groups * params.width + column * LANES;
  let first = number % params.parts * params.part;
  let end = min(first + params.part, params.pixels);
  for (var pixel = select(end, first + row, row < ROWS); pixel < end; pixel += FEW * ROWS) {
    var v: array<Value, FEW>;
    for (var i = 0u; i < FEW; i++) { v[i] = picture(image, min(pixel + i * ROWS, end - 1u), channel); }
    for (var i = 0u; i < FEW; i++) {
      if (pixel + i * ROWS < end) { put(image, pixel + i * ROWS, channel, (v[i] - mean - distance) * scale); }
    }
  }
}
