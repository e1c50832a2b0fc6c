// The second half of group normalisation where groups are large: y = (x - mean) / sqrt(var + eps), without its affine part.
// x, y: [B, pixels, C] (channels last), x with strides x_image and x_pixel; moments: [B, groups, parts, 3] of
// group_parts.wgsl. One workgroup per (part, group, image), which joins the moments of its group's parts (Chan, Golub &
// LeVeque 1979, Stanford report STAN-CS-79-773) as distances from the first part's mean, where they keep their digits.
// With lib/grid.wgsl, lib/values_*.wgsl, lib/reduction.wgsl.
struct Params {
  images: u32,
  groups: u32,
  parts: u32,
  part: u32, // pixels of a part; the last one may have fewer
  pixels: u32,
  width: u32, // channels in a group
  x_offset: u32,
  x_image: u32,
  x_pixel: u32,
  eps: f32,
}

var<storage, read> moments: array<f32>;
var<uniform> params: Params;

/// The share of all pixels that a part has.
fn share(part: u32) -> f32 {
  return f32(min(params.part, params.pixels - part * params.part)) / f32(params.pixels);
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let number = workgroup_number(id, grid);
  let group = number / params.parts; // of all images
  if (group >= params.images * params.groups) { return; }

  let of_group = group * params.parts * 3;
  let mean = moments[of_group];
  var distance = 0.0;
  for (var part = lane; part < params.parts; part += WG) {
    let at = of_group + part * 3;
    distance += (moments[at] - mean + moments[at + 1]) * share(part);
  }
  distance = workgroup_sum(distance, lane);
  var variance = 0.0;
  for (var part = lane; part < params.parts; part += WG) {
    let at = of_group + part * 3;
    let d = moments[at] - mean + moments[at + 1] - distance;
    variance += (moments[at + 2] + d * d) * share(part);
  }
  let scale = inverseSqrt(workgroup_sum(variance, lane) + params.eps);

  let image = group / params.groups;
  let first_channel = group % params.groups * params.width;
  let first = params.x_offset + image * params.x_image + first_channel;
  let first_pixel = number % params.parts * params.part;
  let end = min(first_pixel + params.part, params.pixels);
  for (var pixel = first_pixel + lane; pixel < end; pixel += WG) {
    let start = first + pixel * params.x_pixel;
    for (var c = 0u; c < params.width; c += LANES) {
      store(image, pixel, first_channel + c, (load(start + c) - mean - distance) * scale);
    }
  }
}
