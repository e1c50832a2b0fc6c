// A picture x: [B, pixels, C] (channels last), with strides x_image and x_pixel. With lib/values_*.wgsl; the kernel's
// Params have x_offset, x_image and x_pixel.

/// The values of a pixel from a channel on.
fn picture(image: u32, pixel: u32, channel: u32) -> Value {
  return load(params.x_offset + image * params.x_image + pixel * params.x_pixel + channel);
}
