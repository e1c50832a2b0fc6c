// Statistics of group normalisation for a part of a picture: y[.., 0] = mean, y[.., 1] = variance of a group of channels.
// x: see picture_*; y: [B, groups, 2]. One workgroup per (group, image); see group_moments.wgsl for its lanes.
// With lib/: values_*, lanes_*; norm/lib/: group_params, group_moments, picture_*.

fn run(number: u32, lane: u32) {
  let image = number / params.groups;
  if (image >= params.images) { return; }
  let group = number % params.groups;
  let m = group_moments(image, group * params.width, lane);
  if (lane == 0u) {
    store(image, group, 0u, m.mean + m.rest);
    store(image, group, 1u, m.variance);
  }
}
