// Params of kernels that go over groups of channels: the picture, then values of which each kernel reads only some.
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
  parts: u32, // of the pixels, each for workgroups of its own
  part: u32, // pixels of a part; the last one may have fewer, but not none
  eps: f32,
}

var<uniform> params: Params;
