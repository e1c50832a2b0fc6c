// Rotary position embedding of heads (Su et al. 2021); with NORM = 1 behind a root-mean-square norm:
//   y[a] = v[a] cos - v[b] sin,  y[b] = v[b] cos + v[a] sin,  v = x / sqrt(mean(x^2) + eps) * weight,
// where pair i is a = 2i, b = 2i + 1 or, with HALVES = 1, a = i, b = i + D / 2.
// Tokens may lie in two parts, each with its strides and its weight: tokens below `first` in x0, the others in x1. So texts
// and pictures are joined on the way. x0, x1: [B, H, tokens, D], weights [D], cosines and sines [tokens, D / 2] for all
// batches or [B, tokens, D / 2], y: [B * H, tokens, D]. A workgroup takes ROWS heads one behind the other, whose values its
// lanes hold side by side.
// With lib/rotary_*.wgsl, lib/lanes_*.wgsl.
// Host sets: X, W, A, NORM, HALVES, STEPS, ROWS.
alias X = f32; // of x0 and x1 in memory: elements, or vectors of four
alias W = f32; // of weights, likewise
alias A = f32; // of cosines and sines: numbers, or vectors of two
const NORM: u32 = 0;
const HALVES: u32 = 0;
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

/// Where the values of x0 (part 0) or x1 (1) begin.
fn start_of(part: u32, place: Place) -> u32 {
  if (part == 0u) {
    let start = params.x0_offset + place.batch * params.x0_batch + place.head * params.x0_head;
    return start + place.token * params.x0_token;
  }
  let start = params.x1_offset + place.batch * params.x1_batch + place.head * params.x1_head;
  return start + (place.token - params.first) * params.x1_token;
}

fn load_at(place: Place, c: u32) -> vec4f {
  if (place.token < params.first) { return load(0u, start_of(0u, place), c); }
  return load(1u, start_of(1u, place), c);
}

/// The other values of the pairs of columns c to c + 3, in halves.
fn load_across(place: Place, c: u32) -> vec4f {
  if (place.token < params.first) { return load_other(0u, start_of(0u, place), c); }
  return load_other(1u, start_of(1u, place), c);
}

/// -1 for the first value of a pair, 1 for the second, in halves.
fn sign_across(c: u32) -> vec4f {
  return select(vec4f(1.0), vec4f(-1.0), c + vec4u(0u, 1u, 2u, 3u) < vec4u(params.width / 2u));
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
        let part = select(1u, 0u, place.token < params.first);
        var v = held[row * STEPS + i];
        if (NORM == 1u) { v *= scale * load_weight(part, c); }
        let turns = place.batch * params.table + place.token; // row of the tables
        var y: vec4f;
        if (HALVES == 1u) {
          var across = load_across(place, c) * sign_across(c);
          if (NORM == 1u) { across *= scale * load_weight_across(part, c); }
          y = v * load_turns(0u, turns, c) + across * load_turns(1u, turns, c);
        } else {
          let pairs = (turns * params.width + c) / 2u;
          y = v * load_pairs(0u, pairs) + vec4f(-v.y, v.x, -v.w, v.z) * load_pairs(1u, pairs);
        }
        store(place.batch * params.heads + place.head, place.token, c, y);
      }
    }
  }
}
