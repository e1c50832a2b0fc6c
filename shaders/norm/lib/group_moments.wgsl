// Mean and variance of a group of channels over all pixels, by all lanes of a workgroup: ACROSS of them lie side by side over
// the group's channels, and rows of such lanes walk the pixels; lanes that are left over do nothing.
// Two walks: E[x^2] - mean^2 cancels in f32 when |mean| is large. The second also corrects the mean by its
// rounding error. With lib/values_*.wgsl, lib/lanes_*.wgsl, norm/lib/picture_*.wgsl; the kernel's Params have width and pixels.
// Host sets: ACROSS.
const ACROSS: u32 = 1;
struct Moments {
  mean: f32,
  rest: f32, // the mean's rounding error: the exact mean is mean + rest
  variance: f32,
}

/// The first pixel of a lane; none of those that are left over.
fn first_pixel(lane: u32) -> u32 {
  return select(params.pixels, lane / ACROSS, lane / ACROSS < WG / ACROSS);
}

/// `first` is the group's first channel.
fn group_moments(image: u32, first: u32, lane: u32) -> Moments {
  let count = f32(params.pixels * params.width);
  var sum = Value();
  for (var pixel = first_pixel(lane); pixel < params.pixels; pixel += WG / ACROSS) {
    for (var c = lane % ACROSS * LANES; c < params.width; c += ACROSS * LANES) {
      sum += picture(image, pixel, first + c);
    }
  }
  let mean = workgroup_sums(vec2f(total(sum), 0.0), lane).x / count;

  var squares = Value();
  var rests = Value();
  for (var pixel = first_pixel(lane); pixel < params.pixels; pixel += WG / ACROSS) {
    for (var c = lane % ACROSS * LANES; c < params.width; c += ACROSS * LANES) {
      let d = picture(image, pixel, first + c) - mean;
      squares += d * d;
      rests += d;
    }
  }
  let sums = workgroup_sums(vec2f(total(squares), total(rests)), lane) / count;
  return Moments(mean, sums.y, sums.x - sums.y * sums.y);
}
