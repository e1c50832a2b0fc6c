// Attention in one pass for adapters without matrix units: y = softmax(scale * q k^T + mask) v for each head, the scores
// never in memory; see attention/tiled.wgsl for the method. All arithmetic is f32, T is what workgroup memory holds.
// q, k, v and Params: see attention/lib/: params and read_*.
// A workgroup keeps ROWS queries of one head in its memory and takes all keys, KEYS at a time: it reads values while it
// multiplies keys, and the next keys while it weighs values, which follow each other in the same memory. An invocation owns
// 4 rows by 4 keys of the scores, and of the output 4 rows by 4 columns in each of ROUNDS. Two neighbours in a subgroup make
// the powers of a row.
// Rows and keys of one invocation lie apart by the number of its neighbours, which so read neighbouring banks.
// Host sets: T, ROW_LANES, COL_LANES, WIDTH, COLUMNS.
alias T = f32; // f16 where the tensors are
const ROW_LANES: u32 = 16; // invocations along the rows
const COL_LANES: u32 = 8; // and along keys or columns
const WIDTH: u32 = 64; // of queries and keys, rounded up to a multiple of 4
const COLUMNS: u32 = 64; // of values, rounded up to a multiple of 4

const WG: u32 = ROW_LANES * COL_LANES;
const ROWS: u32 = 4 * ROW_LANES;
const KEYS: u32 = 4 * COL_LANES;
const SHARE: u32 = COL_LANES / 2; // blocks of four keys whose powers an invocation makes
const K_VECTORS: u32 = WIDTH / 4;
const V_VECTORS: u32 = COLUMNS / 4;
const ROUNDS: u32 = (V_VECTORS + COL_LANES - 1) / COL_LANES;
const PITCH: u32 = K_VECTORS + 1 - K_VECTORS % 2; // of rows in memory, odd, as banks are a power of two
const WEIGHTS_PITCH: u32 = COL_LANES + 1 - COL_LANES % 2;
const K_LOADS: u32 = (KEYS * K_VECTORS + WG - 1) / WG;
const V_LOADS: u32 = (KEYS * V_VECTORS + WG - 1) / WG;
const LOADS: u32 = max(K_LOADS, V_LOADS);

var<workgroup> queries: array<vec4<T>, ROWS * PITCH>;
var<workgroup> stage: array<vec4<T>, max(KEYS * PITCH, KEYS * V_VECTORS)>; // keys, then values
var<workgroup> weights: array<vec4f, ROWS * WEIGHTS_PITCH>; // scores, then their powers: of keys block + i * COL_LANES
var<workgroup> factors: array<f32, ROWS>; // by which a row's earlier sums are multiplied, as its maximum has grown; in the end their divisor

@compute @workgroup_size(WG)
@diagnostic(off, subgroup_uniformity)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(subgroup_id) subgroup: u32,
  @builtin(subgroup_size) lanes: u32,
  @builtin(subgroup_invocation_id) subgroup_lane: u32,
) {
  let lane = subgroup * lanes + subgroup_lane;
  let tile = id.x + id.y * grid.x;
  let tiles = (params.queries + ROWS - 1) / ROWS;
  let z = tile / tiles;
  if (z >= params.z) {
    return;
  }
  let first_query = tile % tiles * ROWS;
  let end = seen_by(min(first_query + ROWS, params.queries) - 1);
  let row = lane / COL_LANES; // and those ROW_LANES apart
  let block = lane % COL_LANES; // of keys, or of columns
  let own_row = min(lane / 2, ROWS - 1); // whose powers it makes
  let own_block = lane % 2 * SHARE;
  let own_query = first_query + own_row;
  let lowest = bitcast<f32>(0xff800000u | (params.z & 0)); // -infinity, which no constant may be
  var base = LOWEST;
  var total = 0.0; // of the powers that it has made

  for (var i = lane; i < ROWS * K_VECTORS; i += WG) {
    let values = load_q(z, first_query + i / K_VECTORS, i % K_VECTORS * 4) * sign(params.scale);
    queries[i / K_VECTORS * PITCH + i % K_VECTORS] = vec4<T>(values);
  }
  let last_key = start_of_k(z, params.keys - 1);
  let last_value = start_of_v(z, params.keys - 1);
  var key_starts: array<u32, K_LOADS>; // of the first tile's rows
  var value_starts: array<u32, V_LOADS>;
  for (var l = 0u; l < K_LOADS; l++) {
    key_starts[l] = start_of_k(z, (lane + l * WG) / K_VECTORS);
  }
  for (var l = 0u; l < V_LOADS; l++) {
    value_starts[l] = start_of_v(z, (lane + l * WG) / V_VECTORS);
  }

  var ahead: array<vec4<T>, LOADS>;
  for (var l = 0u; l < K_LOADS; l++) {
    ahead[l] = vec4<T>(read_k(min(key_starts[l], last_key), (lane + l * WG) % K_VECTORS * 4));
  }
  var sums: array<vec4f, 4 * ROUNDS>;
  for (var i = 0u; i < 4 * ROUNDS; i++) {
    sums[i] = vec4f();
  }
  for (var first_key = 0u; first_key < end; first_key += KEYS) {
    for (var l = 0u; l < K_LOADS; l++) {
      let i = lane + l * WG;
      if (KEYS * K_VECTORS % WG == 0 || i < KEYS * K_VECTORS) {
        stage[i / K_VECTORS * PITCH + i % K_VECTORS] = ahead[l];
      }
    }
    workgroupBarrier();
    for (var l = 0u; l < V_LOADS; l++) {
      let start = min(value_starts[l] + first_key * step_of_v(), last_value);
      ahead[l] = vec4<T>(read_v(start, (lane + l * WG) % V_VECTORS * 4));
    }

    // By row; component j is key block + j * COL_LANES. Zeros are written out: without, engines keep the last tile's values.
    var products = array<vec4f, 4>(vec4f(), vec4f(), vec4f(), vec4f());
    for (var c = 0u; c < K_VECTORS; c++) {
      var keys: array<vec4f, 4>;
      for (var j = 0u; j < 4; j++) {
        keys[j] = vec4f(stage[(block + j * COL_LANES) * PITCH + c]);
      }
      for (var r = 0u; r < 4; r++) {
        let query = vec4f(queries[(row + r * ROW_LANES) * PITCH + c]);
        for (var j = 0u; j < 4; j++) {
          let three = fma(query.z, keys[j].z, fma(query.y, keys[j].y, fma(query.x, keys[j].x, products[r][j])));
          products[r][j] = fma(query.w, keys[j].w, three);
        }
      }
    }
    for (var r = 0u; r < 4; r++) {
      weights[(row + r * ROW_LANES) * WEIGHTS_PITCH + block] = products[r];
    }
    workgroupBarrier();

    for (var l = 0u; l < V_LOADS; l++) {
      let i = lane + l * WG;
      if (KEYS * V_VECTORS % WG == 0 || i < KEYS * V_VECTORS) {
        stage[i] = ahead[l];
      }
    }
    let whole = first_key + KEYS <= seen_by(first_query);
    if (lane < 2 * ROWS) {
      var own: array<vec4f, SHARE>;
      var highest = vec4f(lowest);
      for (var b = 0u; b < SHARE; b++) {
        let keys = first_key + own_block + b + vec4u(0, 1, 2, 3) * COL_LANES;
        own[b] = scored(z, own_query, keys, weights[own_row * WEIGHTS_PITCH + own_block + b]);
        if (!whole) {
          own[b] = select(vec4f(lowest), own[b], keys < vec4u(seen_by(own_query)));
        }
        highest = max(highest, own[b]);
      }
      var peak = level(max(max(highest.x, highest.y), max(highest.z, highest.w)));
      peak = max(base, max(peak, subgroupShuffleXor(peak, 1)));
      let factor = exp2((base - peak) * UNIT);
      base = peak;
      var all = vec4f();
      for (var b = 0u; b < SHARE; b++) {
        let made = powers(own[b], base);
        weights[own_row * WEIGHTS_PITCH + own_block + b] = made;
        all += made;
      }
      total = total * factor + ((all.x + all.y) + (all.z + all.w));
      factors[own_row] = factor;
    }
    workgroupBarrier();
    for (var l = 0u; l < K_LOADS; l++) {
      let start = min(key_starts[l] + (first_key + KEYS) * step_of_k(), last_key);
      ahead[l] = vec4<T>(read_k(start, (lane + l * WG) % K_VECTORS * 4));
    }
    for (var i = 0u; i < 4 * ROUNDS; i++) {
      sums[i] *= factors[row + i % 4 * ROW_LANES];
    }
    for (var b = 0u; b < COL_LANES; b++) {
      var powers: array<vec4f, 4>;
      for (var r = 0u; r < 4; r++) {
        powers[r] = weights[(row + r * ROW_LANES) * WEIGHTS_PITCH + b];
      }
      for (var round = 0u; round < ROUNDS; round++) {
        let at = b * V_VECTORS + min(block + round * COL_LANES, V_VECTORS - 1);
        for (var j = 0u; j < 4; j++) {
          let values = vec4f(stage[at + j * COL_LANES * V_VECTORS]);
          for (var r = 0u; r < 4; r++) {
            sums[round * 4 + r] = fma(values, vec4f(powers[r][j]), sums[round * 4 + r]);
          }
        }
      }
    }
    workgroupBarrier();
  }

  if (lane < 2 * ROWS) {
    factors[own_row] = divisor(total + subgroupShuffleXor(total, 1));
  }
  workgroupBarrier();
  for (var r = 0u; r < 4; r++) {
    let query = first_query + row + r * ROW_LANES;
    for (var round = 0u; round < ROUNDS; round++) {
      let column = 4 * (block + round * COL_LANES);
      if (query < params.queries && column < params.columns) {
        store(z, query, column, sums[round * 4 + r] / factors[row + r * ROW_LANES]);
      }
    }
  }
}
