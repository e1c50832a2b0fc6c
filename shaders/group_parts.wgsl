// The first half of group normalisation where groups are large: mean, what the mean's rounding left over, and variance of
// each group of channels over one part of the pixels. x: [B, pixels, C] (channels last), with strides x_image and x_pixel;
// y: [B, groups, parts, 3]. One workgroup per (part, group, image), so that few groups still keep all of a GPU at work.
// With lib/grid.wgsl, lib/values_*.wgsl, lib/reduction.wgsl, lib/group_moments.wgsl.
struct Params {
  images: u32,
  groups: u32,
  parts: u32,
  part: u32, // pixels of a part; the last one may have fewer, but not none
  pixels: u32,
  width: u32, // channels in a group
  x_offset: u32,
  x_image: u32,
  x_pixel: u32,
}

var<uniform> params: Params;

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let number = workgroup_number(id, grid);
  let group = number / params.parts; // of all images
  if (group >= params.images * params.groups) { return; }
  let part = number % params.parts;
  let image = group / params.groups;
  let pixel = part * params.part;
  let first = params.x_offset + image * params.x_image + pixel * params.x_pixel +
    group % params.groups * params.width;
  let m = group_moments(first, min(params.part, params.pixels - pixel), lane);
  if (lane == 0u) {
    store(group, part, 0u, m.mean);
    store(group, part, 1u, m.rest);
    store(group, part, 2u, m.variance);
  }
}
