// Rows of x for a convolution as an implicit matrix product: row m of y is one output pixel, and each tap of the
// kernel meets one input pixel, whose channels are contiguous.
// x is [z0, z1, image, H, W, k] (channels last) with x_row elements from pixel to pixel, and row m of y is pixel
// (image * out_h + y) * out_w + x, so a whole batch is one product. Rows and columns beyond the picture are zero: only
// left and top padding are given, right and bottom follow from the output's size. upsample = 1 reads a picture twice as
// large, nearest neighbour.
// With gemm/operands/conv_params.wgsl.
// Host sets: UPSAMPLED.
const UPSAMPLED: bool = true; // false where no picture is read at twice its size

/// An output pixel: the pixel of the picture that its first tap meets, perhaps in the padding, and the index in x of that
/// pixel's first channel, of its image's where UPSAMPLED.
struct Row {
  y: i32,
  x: i32,
  start: u32,
}

/// A tap: pixels down and across from the first, and where not UPSAMPLED elements.
struct Tap {
  y: u32,
  x: u32,
  ahead: u32,
}

fn row_at(z: u32, m: u32) -> Row {
  let pixel = m / params.out_w;
  let y = i32(pixel % params.out_h * params.stride_y) - params.pad_top;
  let x = i32(m % params.out_w * params.stride_x) - params.pad_left;
  let batch = z / params.z1 * params.x_z0 + z % params.z1 * params.x_z1 + pixel / params.out_h * params.x_image;
  let start = params.x_offset + batch;
  return Row(y, x, select(start + (u32(y) * params.in_w + u32(x)) * params.x_row, start, UPSAMPLED));
}

fn tap_at(tap: u32) -> Tap {
  let y = tap / params.kernel_w * params.dilation_y;
  let x = tap % params.kernel_w * params.dilation_x;
  return Tap(y, x, (y * params.in_w + x) * params.x_row);
}

/// The next tap, without a division.
fn tap_behind(tap: Tap) -> Tap {
  let x = tap.x + params.dilation_x;
  if (x < params.kernel_w * params.dilation_x) {
    return Tap(tap.y, x, tap.ahead + params.dilation_x * params.x_row);
  }
  let y = tap.y + params.dilation_y;
  return Tap(y, 0, y * params.in_w * params.x_row);
}

/// The index in x of the first channel that an output pixel sees through a tap, -1 in the padding.
fn tap_start(row: Row, tap: Tap) -> i32 {
  let y = u32(row.y) + tap.y; // above and left of the picture beyond all sizes
  let x = u32(row.x) + tap.x;
  let within = y < params.in_h << params.upsample && x < params.in_w << params.upsample;
  let pixel = (y >> params.upsample) * params.in_w + (x >> params.upsample);
  let start = row.start + select(tap.ahead, pixel * params.x_row, UPSAMPLED);
  return select(-1, i32(start), within);
}

/// The index in x of the first channel that row m of y sees through a tap, -1 in the padding.
fn row_start(z: u32, m: u32, tap: u32) -> i32 {
  return tap_start(row_at(z, m), tap_at(tap));
}
