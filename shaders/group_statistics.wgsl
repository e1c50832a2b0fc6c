// What group normalisation needs of a part of a picture: y[.., 0] = mean, y[.., 1] = variance of a group of channels.
// x: [B, pixels, C] (channels last), with strides x_image and x_pixel; y: [B, groups, 2]. One workgroup per (group,
// image). With lib/grid.wgsl, lib/values_*.wgsl, lib/reduction.wgsl, lib/group_moments.wgsl.
struct Params {
  images: u32,
  groups: u32,
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
  let image = number / params.groups;
  if (image >= params.images) { return; }
  let group = number % params.groups;
  let first = params.x_offset + image * params.x_image + group * params.width;
  let m = group_moments(first, params.pixels, lane);
  if (lane == 0u) {
    store(image, group, 0u, m.mean + m.rest);
    store(image, group, 1u, m.variance);
  }
}
