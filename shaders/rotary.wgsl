// Rotary position embedding of heads (Su et al. 2021) in interleaved pairs; with NORM = 1 behind a root-mean-square norm:
//   y[2i] = v[2i] cos - v[2i + 1] sin,  y[2i + 1] = v[2i + 1] cos + v[2i] sin,  v = x / sqrt(mean(x^2) + eps) * weight.
// Tokens may lie in two parts, each with its strides and its weight: tokens below `first` in x0, the others in x1. So texts
// and pictures are joined on the way. x0, x1: [B, H, tokens, D], weights [D], cosines and sines [tokens, D / 2] for all
// batches or [B, tokens, D / 2], y: [B * H, tokens, D]. A workgroup takes ROWS heads one behind the other, whose values its
// lanes hold side by side.
// With lib/rotary_*.wgsl, lib/lanes_*.wgsl.
// Host sets: X, W, A, NORM, STEPS, ROWS.
alias X = f32; // of x0 and x1 in memory: elements, or vectors of four
alias W = f32; // of weights, likewise
alias A = f32; // of cosines and sines: numbers, or vectors of two
const NORM: u32 = 0;
const STEPS: u32 = 1; // loads of a lane
const ROWS: u32 = 4;
struct Params {
  batches: u32,
  heads: u32,
  tokens: u32,
  first: u32, // tokens of x0
  width: u32, // D
  x0_offset: u32, // everything down to x1_token counts elements
  x0_batch: u32,
  x0_head: u32,
  x0_token: u32,
  x1_offset: u32,
  x1_batch: u32,
  x1_head: u32,
  x1_token: u32,
  table: u32, // tokens from one batch's cosines to the next, 0 where all share them
  eps: f32,
}

var<storage, read> x0: array<X>;
var<storage, read> x1: array<X>;
var<storage, read> weight0: array<W>;
var<storage, read> weight1: array<W>;
var<storage, read> cosines: array<A>;
var<storage, read> sines: array<A>;
var<uniform> params: Params;

/// One head of one token: where it lies.
struct Place {
  batch: u32,
  head: u32,
  token: u32,
}

fn place_of(row: u32) -> Place {
  let token = row / params.heads;
  return Place(token / params.tokens, row % params.heads, token % params.tokens);
}

/// The next head, without a division.
fn place_behind(place: Place) -> Place {
  if (place.head + 1u < params.heads) { return Place(place.batch, place.head + 1u, place.token); }
  if (place.token + 1u < params.tokens) { return Place(place.batch, 0u, place.token + 1u); }
  return Place(place.batch + 1u, 0u, 0u);
}

fn load_at(place: Place, c: u32) -> vec4f {
  if (place.token < params.first) {
    let start = params.x0_offset + place.batch * params.x0_batch + place.head * params.x0_head;
    return load(0u, start + place.token * params.x0_token, c);
  }
  let start = params.x1_offset + place.batch * params.x1_batch + place.head * params.x1_head;
  return load(1u, start + (place.token - params.first) * params.x1_token, c);
}

fn run(number: u32, lane: u32) {
  let rows = params.batches * params.heads * params.tokens;
  let first = number * ROWS;
  if (first >= rows) { return; }
  var places: array<Place, ROWS>; // those beyond the last row repeat it
  places[0] = place_of(first);
  for (var row = 1u; row < ROWS; row++) {
    places[row] = places[row - 1u];
    if (first + row < rows) { places[row] = place_behind(places[row - 1u]); }
  }
  var held: array<vec4f, ROWS * STEPS>;
  for (var i = 0u; i < ROWS * STEPS; i++) { // without a branch, so that all are under way at once
    let c = min((i % STEPS * WG + lane) * 4u, (params.width - 1u) / 4u * 4u);
    held[i] = load_at(places[i / STEPS], c);
  }
  for (var row = 0u; row < ROWS; row++) {
    let place = places[row];
    var scale = 1.0;
    if (NORM == 1u) {
      var squares = vec4f();
      for (var i = 0u; i < STEPS; i++) {
        let v = held[row * STEPS + i];
        squares += select(vec4f(), v * v, (i * WG + lane) * 4u < params.width);
      }
      let sum = workgroup_sums(vec2f(dot(squares, vec4f(1.0)), 0.0), lane).x;
      scale = inverseSqrt(sum / f32(params.width) + params.eps);
    }
    for (var i = 0u; i < STEPS; i++) {
      let c = (i * WG + lane) * 4u;
      if (c < params.width && first + row < rows) {
        var v = held[row * STEPS + i];
        if (NORM == 1u) { v *= scale * load_weight(select(1u, 0u, place.token < params.first), c); }
        let pairs = ((place.batch * params.table + place.token) * params.width + c) / 2u;
        let y = v * load_pairs(0u, pairs) + vec4f(-v.y, v.x, -v.w, v.z) * load_pairs(1u, pairs);
        store(place.batch * params.heads + place.head, place.token, c, y);
      }
    }
  }
}
