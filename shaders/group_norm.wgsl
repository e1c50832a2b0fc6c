// Group normalisation without its affine part: y = (x - mean) / sqrt(var + eps), statistics per group of channels.
// x, y: [B, pixels, C] (channels last), x with strides x_image and x_pixel. One workgroup per (group, image); a lane
// takes whole pixels, whose `width` channels of the group lie side by side.
// With lib/grid.wgsl, lib/values_*.wgsl, lib/reduction.wgsl, lib/group_moments.wgsl.
struct Params {
  images: u32,
  groups: u32,
  pixels: u32,
  width: u32, // channels in a group
  x_offset: u32,
  x_image: u32,
  x_pixel: u32,
  eps: f32,
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
  let first_channel = number % params.groups * params.width;
  let first = params.x_offset + image * params.x_image + first_channel;
  let m = group_moments(first, params.pixels, lane);
  let scale = inverseSqrt(m.variance + params.eps);

  for (var pixel = lane; pixel < params.pixels; pixel += WG) {
    let start = first + pixel * params.x_pixel;
    for (var c = 0u; c < params.width; c += LANES) {
      store(image, pixel, first_channel + c, (load(start + c) - m.mean - m.rest) * scale);
    }
  }
}
