// Rotary position embedding of heads (Su et al. 2021) in interleaved pairs; with NORM = 1 behind a root-mean-square norm:
//   y[2i] = v[2i] cos - v[2i + 1] sin,  y[2i + 1] = v[2i + 1] cos + v[2i] sin,  v = x / sqrt(mean(x^2) + eps) * weight.
// Tokens may lie in two parts, each with its strides and its weight: tokens below `first` in x0, the others in x1. So texts
// and pictures are joined on the way. x0, x1: [B, H, tokens, D], weights [D], cosines and sines [tokens, D / 2],
// y: [B * H, tokens, D]. One invocation a token and head: two walks over a short row, and nothing waits at a barrier.
// With lib/grid.wgsl, lib/rotary_*.wgsl.
// Host sets: NORM.
const NORM: u32 = 0;
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
  eps: f32,
}

var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let place = workgroup_number(id, grid) * 64u + lane;
  let head = place % params.heads;
  let token = place / params.heads % params.tokens;
  let batch = place / params.heads / params.tokens;
  if (batch >= params.batches) { return; }

  let part = select(1u, 0u, token < params.first);
  var start = params.x0_offset + batch * params.x0_batch + head * params.x0_head + token * params.x0_token;
  if (part == 1u) {
    start = params.x1_offset + batch * params.x1_batch + head * params.x1_head +
      (token - params.first) * params.x1_token;
  }
  var scale = 1.0;
  if (NORM == 1u) {
    var squares = vec4f();
    for (var c = 0u; c < params.width; c += 4u) {
      let v = load(part, start, c);
      squares += v * v;
    }
    scale = inverseSqrt(dot(squares, vec4f(1.0)) / f32(params.width) + params.eps);
  }
  for (var c = 0u; c < params.width; c += 4u) {
    var v = load(part, start, c);
    if (NORM == 1u) { v *= scale * load_weight(part, c); }
    let pairs = (token * params.width + c) / 2u;
    let y = v * load_pairs(0u, pairs) + vec4f(-v.y, v.x, -v.w, v.z) * load_pairs(1u, pairs);
    store(batch * params.heads + head, token, c, y);
  }
}
