// A picture [B, pixels, C] (channels last) in two: channels below `seam` are those of x, with strides x_image and x_pixel,
// the others of x1, with strides x1_image and x1_pixel. So nothing is copied to join them. With lib/values_*.wgsl; the
// kernel's Params have seam and these strides and offsets; values are taken so many at a time as the seam allows.
var<storage, read> x1: array<Stored>;

/// The values of a pixel from a channel on.
fn picture(image: u32, pixel: u32, channel: u32) -> Value {
  if (channel < params.seam) {
    return load(params.x_offset + image * params.x_image + pixel * params.x_pixel + channel);
  }
  let at = params.x1_offset + image * params.x1_image + pixel * params.x1_pixel + channel - params.seam;
  return Value(x1[at / LANES]);
}
