// Group normalisation without its affine part: y = (x - mean) / sqrt(var + eps), statistics per group of channels.
// x: see lib/picture_*; y: [B, pixels, C]. One workgroup per (group, image), which reads its values again for each of three
// walks: for groups of any size. See lib/group_moments.wgsl for its lanes.
// With lib/values_*.wgsl, lib/lanes_*.wgsl, lib/picture_*.wgsl, lib/put_*.wgsl, lib/group_moments.wgsl.
struct Params {
  images: u32,
  groups: u32,
  pixels: u32,
  width: u32, // channels in a group
  seam: u32,
  x_offset: u32, // everything down to x1_pixel counts elements
  x_image: u32,
  x_pixel: u32,
  x1_offset: u32,
  x1_image: u32,
  x1_pixel: u32,
  eps: f32,
}

var<uniform> params: Params;

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
