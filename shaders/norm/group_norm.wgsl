// Group normalisation without its affine part: y = (x - mean) / sqrt(var + eps), statistics per group of channels.
// x: see picture_*; y: [B, pixels, C]. One workgroup per (group, image), which reads its values again for each of three
// walks: for groups of any size. See group_moments.wgsl for its lanes.
// With lib/: values_*, lanes_*; norm/lib/: group_params, group_moments, picture_*, put_*.

fn run(number: u32, lane: u32) {
  let image = number / params.groups;
  if (image >= params.images) { return; }
  let first = number % params.groups * params.width;
  let m = group_moments(image, first, lane);
  let scale = inverseSqrt(m.variance + params.eps);

  for (var pixel = first_pixel(lane); pixel < params.pixels; pixel += WG / ACROSS) {
    for (var c = lane % ACROSS * LANES; c < params.width; c += ACROSS * LANES) {
      put(image, pixel, first + c, (picture(image, pixel, first + c) - m.mean - m.rest) * scale);
    }
  }
}
