// Attention in one pass for software adapters with subgroups: y = softmax(scale * q k^T) v for each head, the scores never
// in memory; see attention/tiled.wgsl for the method. All arithmetic is f32.
// q, k, v and Params: see attention/lib/: params and read_*. There is no mask.
// A workgroup is one subgroup and takes 4 * SG queries of one head over all keys, KEYS at a time. A lane owns 4 queries,
// so that the softmax is its own business; it loads keys lane, lane + SG, … and hands them round in registers, because
// such an adapter runs a load as a loop over the lanes.
// Host sets: SG, MOST.
const SG: u32 = 8; // lanes of a subgroup: 8 or 16
const KEYS: u32 = 16; // of a tile: 16 was the fastest of 16, 32 and 64, and compiles in a third of the time
const MOST: u32 = 256; // columns that fit into workgroup memory, which here is the lanes' own
const LOADS: u32 = KEYS / SG;

var<workgroup> outputs: array<vec4f, MOST * SG>; // [column][lane], of four queries each; not divided yet

@compute @workgroup_size(SG)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(subgroup_invocation_id) lane: u32,
) {
  let tile = id.x + id.y * grid.x;
  let tiles = (params.queries + 4 * SG - 1) / (4 * SG);
  let z = tile / tiles;
  if (z >= params.z) {
    return;
  }
  let first_query = tile % tiles * 4 * SG;
  let last_query = min(first_query + 4 * SG, params.queries) - 1;
  let own = first_query + 4 * lane + vec4u(0, 1, 2, 3);
  let seen = vec4u(seen_by(own.x), seen_by(own.y), seen_by(own.z), seen_by(own.w));

  var peak = vec4f(LOWEST);
  var total = vec4f();
  for (var column = 0u; column < params.columns; column++) {
    outputs[column * SG + lane] = vec4f();
  }
  for (var first_key = 0u; first_key < seen_by(last_query); first_key += KEYS) {
    var scores = array<vec4f, KEYS>(); // zeros written out: without, both engines keep the last tile's values
    for (var channel = 0u; channel < params.width; channel += 4) {
      let queries = transpose(mat4x4f(
        load_q(z, own.x, channel),
        load_q(z, own.y, channel),
        load_q(z, own.z, channel),
        load_q(z, own.w, channel),
      ));
      var keys: array<vec4f, LOADS>;
      for (var i = 0u; i < LOADS; i++) {
        keys[i] = load_k(z, first_key + i * SG + lane, channel);
      }
      for (var i = 0u; i < LOADS; i++) {
        add_scores(&scores, i * SG, queries, keys[i]);
      }
    }
    var highest = peak;
    for (var i = 0u; i < KEYS; i++) {
      scores[i] = select(vec4f(LOWEST), scores[i] * params.scale, vec4u(first_key + i) < seen);
      highest = max(highest, scores[i]);
    }
    let factor = exp(peak - highest);
    peak = highest;
    total *= factor;
    for (var i = 0u; i < KEYS; i++) {
      scores[i] = select(vec4f(), exp(scores[i] - peak), vec4u(first_key + i) < seen);
      total += scores[i];
    }
    for (var column = 0u; column < params.columns; column += 4) {
      var values: array<vec4f, LOADS>;
      for (var i = 0u; i < LOADS; i++) {
        values[i] = load_v(z, first_key + i * SG + lane, column);
      }
      let at = column * SG + lane;
      var sums = mat4x4f(
        outputs[at] * factor,
        outputs[at + SG] * factor,
        outputs[at + 2 * SG] * factor,
        outputs[at + 3 * SG] * factor,
      );
      for (var i = 0u; i < LOADS; i++) {
        add_values(&sums, &scores, i * SG, values[i]);
      }
      outputs[at] = sums[0];
      outputs[at + SG] = sums[1];
      outputs[at + 2 * SG] = sums[2];
      outputs[at + 3 * SG] = sums[3];
    }
  }
  let divides = vec4f(divisor(total.x), divisor(total.y), divisor(total.z), divisor(total.w));
  for (var column = 0u; column < params.columns; column += 4) {
    let at = column * SG + lane;
    let rows = transpose(mat4x4f(
      outputs[at] / divides,
      outputs[at + SG] / divides,
      outputs[at + 2 * SG] / divides,
      outputs[at + 3 * SG] / divides,
    ));
    for (var i = 0u; i < 4; i++) {
      if (own[i] < params.queries) {
        store(z, own[i], column, rows[i]);
      }
    }
  }
}

/// Adds the lane's queries by lane l's key to the scores of key first + l, for every lane l; a broadcast wants a constant
/// lane.
fn add_scores(scores: ptr<function, array<vec4f, KEYS>>, first: u32, queries: mat4x4f, keys: vec4f) {
  (*scores)[first] += queries * subgroupBroadcast(keys, 0);
  (*scores)[first + 1] += queries * subgroupBroadcast(keys, 1);
  (*scores)[first + 2] += queries * subgroupBroadcast(keys, 2);
  (*scores)[first + 3] += queries * subgroupBroadcast(keys, 3);
  (*scores)[first + 4] += queries * subgroupBroadcast(keys, 4);
  (*scores)[first + 5] += queries * subgroupBroadcast(keys, 5);
  (*scores)[first + 6] += queries * subgroupBroadcast(keys, 6);
  (*scores)[first + 7] += queries * subgroupBroadcast(keys, 7);
  if (SG > 8) {
    (*scores)[first + 8] += queries * subgroupBroadcast(keys, 8);
    (*scores)[first + 9] += queries * subgroupBroadcast(keys, 9);
    (*scores)[first + 10] += queries * subgroupBroadcast(keys, 10);
    (*scores)[first + 11] += queries * subgroupBroadcast(keys, 11);
    (*scores)[first + 12] += queries * subgroupBroadcast(keys, 12);
    (*scores)[first + 13] += queries * subgroupBroadcast(keys, 13);
    (*scores)[first + 14] += queries * subgroupBroadcast(keys, 14);
    (*scores)[first + 15] += queries * subgroupBroadcast(keys, 15);
  }
}

/// Adds lane l's values, weighed with the power of key first + l, to the sums of four columns, for every lane l.
fn add_values(sums: ptr<function, mat4x4f>, powers: ptr<function, array<vec4f, KEYS>>, first: u32, values: vec4f) {
  weigh(sums, (*powers)[first], subgroupBroadcast(values, 0));
  weigh(sums, (*powers)[first + 1], subgroupBroadcast(values, 1));
  weigh(sums, (*powers)[first + 2], subgroupBroadcast(values, 2));
  weigh(sums, (*powers)[first + 3], subgroupBroadcast(values, 3));
  weigh(sums, (*powers)[first + 4], subgroupBroadcast(values, 4));
  weigh(sums, (*powers)[first + 5], subgroupBroadcast(values, 5));
  weigh(sums, (*powers)[first + 6], subgroupBroadcast(values, 6));
  weigh(sums, (*powers)[first + 7], subgroupBroadcast(values, 7));
  if (SG > 8) {
    weigh(sums, (*powers)[first + 8], subgroupBroadcast(values, 8));
    weigh(sums, (*powers)[first + 9], subgroupBroadcast(values, 9));
    weigh(sums, (*powers)[first + 10], subgroupBroadcast(values, 10));
    weigh(sums, (*powers)[first + 11], subgroupBroadcast(values, 11));
    weigh(sums, (*powers)[first + 12], subgroupBroadcast(values, 12));
    weigh(sums, (*powers)[first + 13], subgroupBroadcast(values, 13));
    weigh(sums, (*powers)[first + 14], subgroupBroadcast(values, 14));
    weigh(sums, (*powers)[first + 15], subgroupBroadcast(values, 15));
  }
}

fn weigh(sums: ptr<function, mat4x4f>, power: vec4f, values: vec4f) {
  *sums += mat4x4f(power * values.x, power * values.y, power * values.z, power * values.w);
}
