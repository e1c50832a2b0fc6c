// What convolutions are told, of one picture or of two side by side.
struct Params {
  z: u32, // products in the batch, 1 where m counts the images
  z1: u32, // how many of them share an outer index: z = outer * z1 + inner
  m: u32, // output pixels
  n: u32, // output channels
  k: u32, // input channels, of two pictures those of a piece
  taps: u32, // kernel_h * kernel_w, of two pictures times pieces
  parts: u32, // of the sum, each made by workgroups of its own: see sum.wgsl
  x_offset: u32, // everything down to w_row counts elements
  x_z0: u32,
  x_z1: u32,
  x_row: u32,
  w_offset: u32,
  w_z0: u32,
  w_z1: u32,
  w_row: u32,
  x_image: u32, // elements from image to image
  in_h: u32, // the stored picture, before upsampling
  in_w: u32,
  out_h: u32,
  out_w: u32,
  kernel_w: u32,
  stride_y: u32,
  stride_x: u32,
  dilation_y: u32, // pixels from tap to tap
  dilation_x: u32,
  pad_top: i32, // below 0 cuts off
  pad_left: i32,
  upsample: u32, // 0 or 1: the picture convolved is (in_h << upsample) x (in_w << upsample)
  pieces: u32, // from here on of two pictures side by side: see rows_conv_two.wgsl
  pieces_x: u32,
  seam: u32, // the first index of x1's memory
  x1_offset: u32, // of its first element, with the seam
  x1_z0: u32,
  x1_row: u32,
}

var<uniform> params: Params;
