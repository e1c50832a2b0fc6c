// Rows of x for a convolution of two pictures side by side, channels of x in front of those of x1, which are joined nowhere:
// see rows_conv.wgsl for what is the same. k channels are a piece, x has pieces_x of all `pieces` of a pixel, and the
// taps of the product are the pieces of each tap of the kernel, in the order of the weights. x1 lies in one space of indices
// with x, from x1_offset on: x*_two_* find it there.
// With gemm/operands/conv_params.wgsl.

/// An output pixel: the pixel of the picture that its first tap meets, perhaps in the padding, and the indices of its image's
/// first channels in x and in x1.
struct Row {
  y: i32,
  x: i32,
  start: u32,
  start_x1: u32,
}

/// A piece of a tap of the kernel: pixels down and across from the first tap.
struct Tap {
  y: u32,
  x: u32,
  piece: u32,
}

fn row_at(z: u32, m: u32) -> Row {
  let y = i32(m / params.out_w * params.stride_y) - params.pad_top;
  let x = i32(m % params.out_w * params.stride_x) - params.pad_left;
  return Row(y, x, params.x_offset + z * params.x_z0, params.x1_offset + z * params.x1_z0);
}

fn tap_at(number: u32) -> Tap {
  let tap = number / params.pieces;
  let y = tap / params.kernel_w * params.dilation_y;
  return Tap(y, tap % params.kernel_w * params.dilation_x, number % params.pieces);
}

/// The next tap, without a division.
fn tap_behind(tap: Tap) -> Tap {
  if (tap.piece + 1 < params.pieces) {
    return Tap(tap.y, tap.x, tap.piece + 1);
  }
  let x = tap.x + params.dilation_x;
  if (x < params.kernel_w * params.dilation_x) {
    return Tap(tap.y, x, 0);
  }
  return Tap(tap.y + params.dilation_y, 0, 0);
}

/// The index of the first channel that an output pixel sees through a tap, -1 in the padding.
fn tap_start(row: Row, tap: Tap) -> i32 {
  let y = u32(row.y) + tap.y; // above and left of the picture beyond all sizes
  let x = u32(row.x) + tap.x;
  let within = y < params.in_h << params.upsample && x < params.in_w << params.upsample;
  let pixel = (y >> params.upsample) * params.in_w + (x >> params.upsample);
  var start = row.start + pixel * params.x_row + tap.piece * params.k;
  if (tap.piece >= params.pieces_x) {
    start = row.start_x1 + pixel * params.x1_row + (tap.piece - params.pieces_x) * params.k;
  }
  return select(-1, i32(start), within);
}

/// The index of the first channel that row m of y sees through a tap, -1 in the padding.
fn row_start(z: u32, m: u32, tap: u32) -> i32 {
  return tap_start(row_at(z, m), tap_at(tap));
}
