// The first half of group normalisation where groups are large: mean, its rounding error, and variance of each group of channels
// over one part of the pixels. x: see picture_*; y: [B, groups, parts, 3]. One workgroup per (slice, part), where a slice
// is as many groups as make loads whole runs of memory, so that few groups still keep all of a GPU at work. Values are read
// once: they are summed as distances from the mean of the first of them, which is within sqrt(pixels / these) deviations of
// the mean itself, so that squares keep their digits.
// With lib/: values_*; norm/lib/: group_params, group_lanes, picture_*.
const FEW: u32 = 4; // loads of a lane that are under way at once

fn run(number: u32, lane: u32) {
  let part = number % params.parts;
  let first_group = number / params.parts * (ACROSS / PER); // of all images
  let image = first_group / params.groups;
  if (image >= params.images) { return; }
  let column = lane % ACROSS;
  let channel = first_group % params.groups * params.width + column * LANES;
  let first = part * params.part;
  let end = min(first + params.part, params.pixels);
  let begin = select(end, first + lane / ACROSS, lane / ACROSS < ROWS);

  var v: array<Value, FEW>;
  for (var i = 0u; i < FEW; i++) { v[i] = picture(image, min(begin + i * ROWS, end - 1u), channel); }
  var sum = Value();
  for (var i = 0u; i < FEW; i++) { sum += select(Value(), v[i], begin + i * ROWS < end); }
  let pivot = group_sums(vec2f(total(sum), 0.0), lane).x / f32(min(end - first, FEW * ROWS) * params.width);

  var squares = Value();
  var rests = Value();
  for (var pixel = begin; pixel < end; pixel += FEW * ROWS) {
    for (var i = 0u; i < FEW; i++) { v[i] = picture(image, min(pixel + i * ROWS, end - 1u), channel); }
    for (var i = 0u; i < FEW; i++) {
      let d = select(Value(), v[i] - pivot, pixel + i * ROWS < end);
      squares += d * d;
      rests += d;
    }
  }
  let sums = group_sums(vec2f(total(squares), total(rests)), lane) / f32((end - first) * params.width);
  if (lane < ACROSS && column % PER == 0u) {
    let group = first_group + column / PER;
    store(group, part, 0u, pivot);
    store(group, part, 1u, sums.y);
    store(group, part, 2u, sums.x - sums.y * sums.y);
  }
}
