// What group normalisation needs of a part of a picture: y[.., 0] = mean, y[.., 1] = variance of a group of channels.
// x: [B, pixels, C] (channels last), with strides x_image and x_pixel; y: [B, groups, 2]. One workgroup per (group,
// image); a lane takes whole pixels, whose `width` channels of the group lie side by side.
// Two passes, as in group_norm.wgsl: E[x^2] - mean^2 cancels in f32 when |mean| is large, and the second pass corrects
// the mean by what its rounding left over.
// After lib/grid.wgsl, lib/values_*.wgsl, lib/reduction.wgsl.
struct Params {
  images: u32,
  groups: u32,
  pixels: u32,
  width: u32, // channels in a group
  x_offset: u32,
  x_image: u32,
  x_pixel: u32,
}

@group(0) @binding(2) var<uniform> params: Params;

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
  let count = f32(params.pixels * params.width);

  var sum = Value();
  for (var pixel = lane; pixel < params.pixels; pixel += WG) {
    let start = first + pixel * params.x_pixel;
    for (var c = 0u; c < params.width; c += LANES) {
      sum += load(start + c);
    }
  }
  let mean = workgroup_sum(total(sum), lane) / count;

  var squares = Value();
  var rests = Value();
  for (var pixel = lane; pixel < params.pixels; pixel += WG) {
    let start = first + pixel * params.x_pixel;
    for (var c = 0u; c < params.width; c += LANES) {
      let d = load(start + c) - mean;
      squares += d * d;
      rests += d;
    }
  }
  let rest = workgroup_sum(total(rests), lane) / count;
  let variance = workgroup_sum(total(squares), lane) / count - rest * rest;
  if (lane == 0u) {
    store(image, group, 0u, mean + rest);
    store(image, group, 1u, variance);
  }
}
