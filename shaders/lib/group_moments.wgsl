// Mean and variance of a group of channels over some pixels, by all invocations of a workgroup: a lane takes whole pixels,
// whose `width` channels of the group lie side by side. x: [B, pixels, C] (channels last); `first` is the first element.
// Two passes: E[x^2] - mean^2 cancels in f32 when |mean| is large. The second also corrects the mean by what its rounding
// left over. With lib/values_*.wgsl, lib/reduction.wgsl; the kernel's Params have width and x_pixel.
struct Moments {
  mean: f32,
  rest: f32, // what the mean's rounding left over: the mean is mean + rest
  variance: f32,
}

fn group_moments(first: u32, pixels: u32, lane: u32) -> Moments {
  let count = f32(pixels * params.width);
  var sum = Value();
  for (var pixel = lane; pixel < pixels; pixel += WG) {
    let start = first + pixel * params.x_pixel;
    for (var c = 0u; c < params.width; c += LANES) {
      sum += load(start + c);
    }
  }
  let mean = workgroup_sum(total(sum), lane) / count;

  var squares = Value();
  var rests = Value();
  for (var pixel = lane; pixel < pixels; pixel += WG) {
    let start = first + pixel * params.x_pixel;
    for (var c = 0u; c < params.width; c += LANES) {
      let d = load(start + c) - mean;
      squares += d * d;
      rests += d;
    }
  }
  let rest = workgroup_sum(total(rests), lane) / count;
  return Moments(mean, rest, workgroup_sum(total(squares), lane) / count - rest * rest);
}
