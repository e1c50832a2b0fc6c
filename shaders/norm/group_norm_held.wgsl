// Group normalisation without its affine part, where a group's values fit into the registers of a workgroup, which reads
// them once: y = (x - mean) / sqrt(var + eps), statistics per group of channels. x: see picture_*; y: [B, pixels, C].
// One workgroup per (group, image); ACROSS lanes lie side by side over a group's channels, and rows of them walk the pixels;
// lanes that are left over store nothing. The mean is corrected by its rounding error.
// With lib/: values_*, lanes_*; norm/lib/: group_params, picture_*, put_*.
// Host sets: ACROSS, STEPS.
const ACROSS: u32 = 1;
const STEPS: u32 = 1; // loads of a lane
const ROWS: u32 = WG / ACROSS;

fn run(number: u32, lane: u32) {
  let image = number / params.groups;
  if (image >= params.images) { return; }
  let channel = number % params.groups * params.width + lane % ACROSS * LANES;
  let row = lane / ACROSS;
  let end = select(0u, params.pixels, row < ROWS);

  var held: array<Value, STEPS>;
  for (var i = 0u; i < STEPS; i++) { // without a branch, so that all are under way at once
    held[i] = picture(image, min(row + i * ROWS, params.pixels - 1u), channel);
  }
  var sum = Value();
  for (var i = 0u; i < STEPS; i++) {
    sum += select(Value(), held[i], row + i * ROWS < end);
  }
  let count = f32(params.pixels * params.width);
  let mean = workgroup_sums(vec2f(total(sum), 0.0), lane).x / count;

  var squares = Value();
  var rests = Value();
  for (var i = 0u; i < STEPS; i++) {
    let d = select(Value(), held[i] - mean, row + i * ROWS < end);
    squares += d * d;
    rests += d;
  }
  let sums = workgroup_sums(vec2f(total(squares), total(rests)), lane) / count;
  let scale = inverseSqrt(sums.x - sums.y * sums.y + params.eps);
  for (var i = 0u; i < STEPS; i++) {
    let pixel = row + i * ROWS;
    if (pixel < end) { put(image, pixel, channel, (held[i] - mean - sums.y) * scale); }
  }
}
