// Attention in one pass for any adapter, without subgroups: y = softmax(scale * q k^T + mask) v for each head, the scores
// never in memory (Dao et al. 2022, https://arxiv.org/abs/2205.14135, with the running maximum of Milakov & Gimelshein
// 2018, https://arxiv.org/abs/1805.02867). All arithmetic is f32.
// q, k, v and Params: see attention/lib/: params and read_*; mask* says what is added to scores.
// A workgroup takes ROWS queries of one head over all keys, KEYS at a time: their scores from channels staged in workgroup
// memory, then the powers of these, then the values that they weigh. An invocation owns 4 rows by 4 keys of the scores,
// and of the output 4 rows by 4 columns in each of ROUNDS.
// Rows, keys and columns of one invocation lie apart by the number of its neighbours, so that neighbours read neighbouring
// banks of workgroup memory.
// Host sets: ROWS, COLUMNS, CHUNK, STAGED.
const ROWS: u32 = 64; // 64, 32 or 16
const COLUMNS: u32 = 64; // of the values, rounded up to a multiple of 4
const CHUNK: u32 = 4; // vectors of 4 channels staged at once: 4 or 5, or 2 with few rows
const STAGED: u32 = 16; // keys whose values are staged at once; divides KEYS
const WG: u32 = 128;
const ROW_LANES: u32 = ROWS / 4; // invocations along the rows
const COL_LANES: u32 = WG / ROW_LANES; // and along keys or columns
const KEYS: u32 = 4 * COL_LANES;
const ROUNDS: u32 = (COLUMNS + KEYS - 1) / KEYS;
const VECTORS: u32 = COLUMNS / 4;
const PITCH: u32 = CHUNK + 1 - CHUNK % 2; // odd, as banks are a power of two
const SHARE: u32 = WG / ROWS; // invocations that share the softmax of a row
const STAGE: u32 = max((ROWS + KEYS) * PITCH, STAGED * VECTORS);

var<workgroup> stage: array<vec4f, STAGE>; // rows of q, then of k; later of v
var<workgroup> weights: array<vec4f, ROWS * COL_LANES>; // scores, then their powers: see place()
var<workgroup> peaks: array<f32, WG>; // the highest of each invocation's share of a row
var<workgroup> factors: array<f32, WG>; // by which a row's earlier sums are multiplied, as the peak has grown

/// Where the weights of a row for keys block + (0, 1, 2, 3) * COL_LANES of the tile lie.
fn place(row: u32, block: u32) -> u32 {
  return row * COL_LANES + (block ^ (row & 7));
}

@compute @workgroup_size(WG)
fn main(
  @builtin(workgroup_id) id: vec3u,
  @builtin(num_workgroups) grid: vec3u,
  @builtin(local_invocation_index) lane: u32,
) {
  let tile = id.x + id.y * grid.x;
  let tiles = (params.queries + ROWS - 1) / ROWS;
  let z = tile / tiles;
  if (z >= params.z) {
    return;
  }
  let first_query = tile % tiles * ROWS;
  let last_query = min(first_query + ROWS, params.queries) - 1;

  let row = lane / COL_LANES; // and those ROW_LANES apart
  let block = lane % COL_LANES; // of keys, or of columns
  let own_row = lane / SHARE; // whose softmax it shares
  let own_block = lane % SHARE * 4; // its part of the row: four blocks of keys
  let own_seen = seen_by(min(first_query + own_row, last_query));
  var peak = LOWEST; // of the own row so far
  var total = 0.0; // of the powers that it made itself

  var sums: array<vec4f, 4 * ROUNDS>;
  for (var first_key = 0u; first_key < seen_by(last_query); first_key += KEYS) {
    // By row; component j is key block + j * COL_LANES. The zeros are written out: without, both engines keep the last
    // tile's values.
    var scores = array<vec4f, 4>();
    for (var channel = 0u; channel < params.width; channel += 4 * CHUNK) {
      for (var i = lane; i < ROWS * CHUNK; i += WG) {
        stage[i / CHUNK * PITCH + i % CHUNK] = load_q(z, first_query + i / CHUNK, channel + i % CHUNK * 4);
      }
      for (var i = lane; i < KEYS * CHUNK; i += WG) {
        stage[(ROWS + i / CHUNK) * PITCH + i % CHUNK] = load_k(z, first_key + i / CHUNK, channel + i % CHUNK * 4);
      }
      workgroupBarrier();
      for (var c = 0u; c < CHUNK; c++) {
        let keys = mat4x4f(
          stage[(ROWS + block) * PITCH + c],
          stage[(ROWS + block + COL_LANES) * PITCH + c],
          stage[(ROWS + block + 2 * COL_LANES) * PITCH + c],
          stage[(ROWS + block + 3 * COL_LANES) * PITCH + c],
        );
        for (var r = 0u; r < 4; r++) {
          scores[r] += stage[(row + r * ROW_LANES) * PITCH + c] * keys;
        }
      }
      workgroupBarrier();
    }
    let keys = first_key + block + vec4u(0, 1, 2, 3) * COL_LANES;
    for (var r = 0u; r < 4; r++) {
      let query = first_query + row + r * ROW_LANES;
      let score = scores[r] * params.scale + mask_at(z, query, keys);
      weights[place(row + r * ROW_LANES, block)] = select(vec4f(LOWEST), score, keys < vec4u(seen_by(query)));
    }
    workgroupBarrier();

    var own: array<vec4f, 4>; // this invocation's share of its row
    for (var i = 0u; i < 4; i++) {
      own[i] = weights[place(own_row, own_block + i)];
    }
    let highest = max(max(own[0], own[1]), max(own[2], own[3]));
    peaks[lane] = max(max(highest.x, highest.y), max(highest.z, highest.w));
    workgroupBarrier();
    let old_peak = peak;
    for (var i = 0u; i < SHARE; i++) {
      peak = max(peak, peaks[own_row * SHARE + i]);
    }
    let factor = exp(old_peak - peak);
    factors[lane] = factor;
    total *= factor;
    for (var i = 0u; i < 4; i++) {
      let keys = first_key + own_block + i + vec4u(0, 1, 2, 3) * COL_LANES;
      let powers = select(vec4f(), exp(own[i] - peak), keys < vec4u(own_seen));
      weights[place(own_row, own_block + i)] = powers;
      total += powers.x + powers.y + powers.z + powers.w;
    }
    for (var first = 0u; first < KEYS; first += STAGED) {
      for (var i = lane; i < STAGED * VECTORS; i += WG) {
        let number = first + i / VECTORS; // four in turn weigh with one vector of weights
        let key = first_key + number / 4 + number % 4 * COL_LANES;
        stage[i] = load_v(z, key, i % VECTORS * 4);
      }
      workgroupBarrier();
      if (first == 0) { // what was written since the barrier before is there now
        for (var i = 0u; i < 4 * ROUNDS; i++) {
          sums[i] *= factors[(row + i % 4 * ROW_LANES) * SHARE];
        }
      }
      for (var b = 0u; b < STAGED / 4; b++) {
        for (var round = 0u; round < ROUNDS; round++) {
          let at = 4 * b * VECTORS + min(block + round * COL_LANES, VECTORS - 1);
          let values = mat4x4f(stage[at], stage[at + VECTORS], stage[at + 2 * VECTORS], stage[at + 3 * VECTORS]);
          for (var r = 0u; r < 4; r++) {
            sums[round * 4 + r] += values * weights[place(row + r * ROW_LANES, first / 4 + b)];
          }
        }
      }
      workgroupBarrier();
    }
  }

  factors[lane] = total;
  workgroupBarrier();
  for (var r = 0u; r < 4; r++) {
    let query = first_query + row + r * ROW_LANES;
    var all = 0.0;
    for (var i = 0u; i < SHARE; i++) {
      all += factors[(row + r * ROW_LANES) * SHARE + i];
    }
    let divides = divisor(all);
    for (var round = 0u; round < ROUNDS; round++) {
      let column = 4 * (block + round * COL_LANES);
      if (query < params.queries && column < params.columns) {
        store(z, query, column, sums[round * 4 + r] / divides);
      }
    }
  }
}
