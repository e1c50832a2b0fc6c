// Attention in one pass on matrix units: y = softmax(scale * q k^T + mask) v for each head, the scores never in memory
// (Dao et al. 2022, https://arxiv.org/abs/2205.14135). Both products take f16 and sum in f32; scores, maxima and totals are
// f32, the scores' powers f16. q, k, v and Params: see attention/lib/: params and read_*.
// A subgroup takes ROWS queries of one head, kept as matrices, over all keys, KEYS at a time, which the workgroup stages for
// its subgroups. What a matrix holds can be reached through memory alone: a subgroup leaves its scores in workgroup memory,
// where PARTS lanes share the softmax of a row and write its powers, which it then loads as matrices.
// Outputs are matrices as well, and to multiply their rows takes a way through memory. So powers are not taken of
// score - maximum but of score - base: a row's base moves only when a score is more than REACH above it, and is then set
// LIFT below that score (powers of two, so that f16 holds what is 2^(LIFT + SLACK) above the base, and keeps all digits of
// what is 2^-14 of it). It cancels in the end. The loop over keys is left where a base moves, and resumed.
// Host sets: BLOCKS, KEYS, WIDTH, COLUMNS, PARTS, SUBGROUPS, LANES, WIDTH_PITCH, KEYS_PITCH, SCORES_PITCH.
const BLOCKS: u32 = 2; // matrices of queries a subgroup
const KEYS: u32 = 32; // of a tile: a multiple of N, K and 4 * PARTS
const WIDTH: u32 = 64; // of queries and keys, rounded up to a multiple of K
const COLUMNS: u32 = 64; // of values, rounded up to a multiple of N
const PARTS: u32 = 2; // lanes that share a row's softmax: a power of two
const SUBGROUPS: u32 = 4;
const LANES: u32 = 64; // of a subgroup
const WIDTH_PITCH: u32 = 18; // vec4 from row to row in workgroup memory, so that neighbouring rows lie in other banks
const KEYS_PITCH: u32 = 10;
const SCORES_PITCH: u32 = 10;

const WG: u32 = SUBGROUPS * LANES;
const ROWS: u32 = M * BLOCKS;
const ROUNDS: u32 = (ROWS * PARTS + LANES - 1) / LANES; // shares of rows' softmax a lane
const LIFT: f32 = 6;
const SLACK: f32 = 8;
const REACH: f32 = (LIFT + SLACK) / UNIT;
const VECTORS: u32 = KEYS / 4 / PARTS; // of scores a share
const K_VECTORS: u32 = WIDTH / 4;
const K_LOADS: u32 = (KEYS * K_VECTORS + WG - 1) / WG;
const V_LOADS: u32 = (VALUE_BLOCKS + WG - 1) / WG;
const INPUTS: u32 = max(max(KEYS, SUBGROUPS * ROWS) * WIDTH_PITCH, SUBGROUPS * ROWS * KEYS_PITCH);
const WIDTH_BLOCKS: u32 = WIDTH / K;
const KEY_BLOCKS: u32 = KEYS / N;
const COLUMN_BLOCKS: u32 = COLUMNS / N;

var<workgroup> inputs: array<vec4<f16>, INPUTS>; // queries or keys by row, then powers by subgroup and row
var<workgroup> scores: array<vec4f, SUBGROUPS * ROWS * SCORES_PITCH>; // by subgroup and row; at times of outputs
var<workgroup> factors: array<f32, SUBGROUPS * ROWS>; // by which outputs are multiplied; in the end what divides them
var<workgroup> moved: u32; // the last tile in which the base of a row with outputs has moved

fn run(workgroup: u32, invocation: u32, subgroup: u32, lane: u32) {
  let tiles = (params.queries + SUBGROUPS * ROWS - 1) / (SUBGROUPS * ROWS);
  let z = workgroup / tiles;
  if (z >= params.z) {
    return;
  }
  let first_of_all = workgroup % tiles * SUBGROUPS * ROWS;
  let end = seen_by(min(first_of_all + SUBGROUPS * ROWS, params.queries) - 1);
  let first_query = first_of_all + subgroup * ROWS;
  let own_scores = subgroup * ROWS * SCORES_PITCH;
  let own_powers = subgroup * ROWS * KEYS_PITCH;
  let own_factors = subgroup * ROWS;

  if (invocation == 0) {
    moved = 0;
  }
  var queries: array<Left, BLOCKS * WIDTH_BLOCKS>;
  for (var i = invocation; i < SUBGROUPS * ROWS * K_VECTORS; i += WG) {
    let query = first_of_all + i / K_VECTORS;
    inputs[i / K_VECTORS * WIDTH_PITCH + i % K_VECTORS] = vec4<f16>(load_q(z, query, i % K_VECTORS * 4) * sign(params.scale));
  }
  workgroupBarrier();
  for (var b = 0u; b < BLOCKS; b++) { // unrolled
    for (var k = 0u; k < WIDTH_BLOCKS; k++) { // unrolled
      let at = (subgroup * ROWS + b * M) * WIDTH_PITCH + k * K / 4;
      queries[b * WIDTH_BLOCKS + k] = subgroupMatrixLoad<Left, row_major>(&inputs, at, WIDTH_PITCH);
    }
  }
  workgroupBarrier();

  let lowest = bitcast<f32>(0xff800000u | (params.z & 0)); // -infinity, which no constant may be
  var bases: array<f32, ROUNDS>;
  var totals: array<f32, ROUNDS>; // of the powers that this lane has made
  for (var round = 0u; round < ROUNDS; round++) { // unrolled
    bases[round] = LOWEST;
  }
  var sums: array<Sums, BLOCKS * COLUMN_BLOCKS>;
  for (var i = 0u; i < BLOCKS * COLUMN_BLOCKS; i++) { // unrolled
    sums[i] = Sums(0); // see lib/matrix_units.wgsl
  }
  var next: Ahead;
  place(z, invocation, &next);
  fetch(0, invocation, &next);
  var tile = 0u; // those whose powers are there
  var begun = false;
  var done = false;
  loop {
    if (begun) { // some bases have moved
      for (var n = 0u; n < COLUMN_BLOCKS; n++) { // unrolled
        for (var b = 0u; b < BLOCKS; b++) { // unrolled
          let at = own_scores + b * M * SCORES_PITCH;
          subgroupMatrixStore<row_major>(&scores, at, sums[b * COLUMN_BLOCKS + n], SCORES_PITCH);
        }
        workgroupBarrier();
        for (var i = lane; i < ROWS * N / 4; i += LANES) {
          scores[own_scores + i / (N / 4) * SCORES_PITCH + i % (N / 4)] *= factors[own_factors + i / (N / 4)];
        }
        workgroupBarrier();
        for (var b = 0u; b < BLOCKS; b++) { // unrolled
          let at = own_scores + b * M * SCORES_PITCH;
          sums[b * COLUMN_BLOCKS + n] = subgroupMatrixLoad<Sums, row_major>(&scores, at, SCORES_PITCH);
        }
        workgroupBarrier();
      }
    }
    loop {
      if (begun) {
        for (var k = 0u; k < KEYS / K; k++) {
          var powers: array<Left, BLOCKS>;
          for (var b = 0u; b < BLOCKS; b++) { // unrolled
            let at = own_powers + b * M * KEYS_PITCH + k * K / 4;
            powers[b] = subgroupMatrixLoad<Left, row_major>(&inputs, at, KEYS_PITCH);
          }
          for (var n = 0u; n < COLUMN_BLOCKS; n++) { // unrolled
            let weighed = values_at(k * K, n * N);
            for (var b = 0u; b < BLOCKS; b++) { // unrolled
              let at = b * COLUMN_BLOCKS + n;
              sums[at] = subgroupMatrixMultiplyAccumulate(powers[b], weighed, sums[at]);
            }
          }
        }
        workgroupBarrier();
      }
      if (tile * KEYS >= end) {
        done = true;
        break;
      }
      put(invocation, &next);
      workgroupBarrier();
      tile++;
      begun = true;
      fetch(tile * KEYS, invocation, &next);

      var products: array<Sums, BLOCKS * KEY_BLOCKS>;
      for (var i = 0u; i < BLOCKS * KEY_BLOCKS; i++) { // unrolled
        products[i] = Sums(0);
      }
      for (var k = 0u; k < WIDTH_BLOCKS; k++) { // unrolled
        for (var j = 0u; j < KEY_BLOCKS; j++) { // unrolled
          let keys = subgroupMatrixLoad<Right, col_major>(&inputs, j * N * WIDTH_PITCH + k * K / 4, WIDTH_PITCH);
          for (var b = 0u; b < BLOCKS; b++) { // unrolled
            let at = b * KEY_BLOCKS + j;
            products[at] = subgroupMatrixMultiplyAccumulate(queries[b * WIDTH_BLOCKS + k], keys, products[at]);
          }
        }
      }
      for (var b = 0u; b < BLOCKS; b++) { // unrolled
        for (var j = 0u; j < KEY_BLOCKS; j++) { // unrolled
          let at = own_scores + b * M * SCORES_PITCH + j * N / 4;
          subgroupMatrixStore<row_major>(&scores, at, products[b * KEY_BLOCKS + j], SCORES_PITCH);
        }
      }
      workgroupBarrier();

      let first_key = (tile - 1) * KEYS;
      let whole = first_key + KEYS <= seen_by(first_query); // rows see no fewer keys the later they come
      for (var round = 0u; round < ROUNDS; round++) { // unrolled
        let row = min((round * LANES + lane) / PARTS, ROWS - 1);
        let part = lane % PARTS;
        let query = first_query + row;
        let key = first_key + 4 * part;
        var t: array<vec4f, VECTORS>;
        for (var i = 0u; i < VECTORS; i++) { // unrolled
          let keys = key + 4 * PARTS * i + vec4u(0, 1, 2, 3);
          t[i] = scored(z, query, keys, scores[own_scores + row * SCORES_PITCH + i * PARTS + part]);
        }
        if (!whole) {
          for (var i = 0u; i < VECTORS; i++) { // unrolled
            let seen = key + 4 * PARTS * i + vec4u(0, 1, 2, 3) < vec4u(seen_by(query));
            t[i] = select(vec4f(lowest), t[i], seen);
          }
        }
        var highest = t[0];
        for (var i = 1u; i < VECTORS; i++) { // unrolled
          highest = max(highest, t[i]);
        }
        var peak = level(max(max(highest.x, highest.y), max(highest.z, highest.w)));
        for (var step = 1u; step < PARTS; step *= 2) {
          peak = max(peak, subgroupShuffleXor(peak, step));
        }
        let moves = peak > bases[round] + REACH;
        let had = bases[round] > LOWEST; // outputs
        let base = select(bases[round], peak - LIFT / UNIT, moves);
        let factor = exp2((bases[round] - base) * UNIT);
        bases[round] = base;
        for (var i = 0u; i < VECTORS; i++) { // unrolled
          t[i] = powers(t[i], base);
        }
        var total = t[0];
        for (var i = 1u; i < VECTORS; i++) { // unrolled
          total += t[i];
        }
        totals[round] = totals[round] * factor + ((total.x + total.y) + (total.z + total.w));
        for (var i = 0u; i < VECTORS; i++) { // unrolled, where lanes are left over they write what the last row's lanes do
          inputs[own_powers + row * KEYS_PITCH + i * PARTS + part] = vec4<f16>(t[i]);
        }
        if (moves && had) {
          moved = tile;
        }
        factors[own_factors + row] = factor;
      }
      if (workgroupUniformLoad(&moved) == tile) {
        break;
      }
    }
    if (done) {
      break;
    }
  }

  for (var round = 0u; round < ROUNDS; round++) { // unrolled
    var total = totals[round];
    for (var step = 1u; step < PARTS; step *= 2) {
      total += subgroupShuffleXor(total, step);
    }
    factors[own_factors + min((round * LANES + lane) / PARTS, ROWS - 1)] = divisor(total);
  }
  for (var n = 0u; n < COLUMN_BLOCKS; n++) { // unrolled
    for (var b = 0u; b < BLOCKS; b++) { // unrolled
      let at = own_scores + b * M * SCORES_PITCH;
      subgroupMatrixStore<row_major>(&scores, at, sums[b * COLUMN_BLOCKS + n], SCORES_PITCH);
    }
    workgroupBarrier();
    for (var i = lane; i < ROWS * N / 4; i += LANES) {
      let row = i / (N / 4);
      let column = n * N + i % (N / 4) * 4;
      if (first_query + row < params.queries && column < params.columns) {
        let output = scores[own_scores + row * SCORES_PITCH + i % (N / 4)] / factors[own_factors + row];
        store(z, first_query + row, column, output);
      }
    }
    workgroupBarrier();
  }
}

/// Keys and values of an invocation, read ahead of their use.
struct Ahead {
  keys: array<vec4<f16>, K_LOADS>,
  values: array<Values, V_LOADS>,
  key_starts: array<u32, K_LOADS>, // of the first tile's rows
  value_starts: array<u32, V_LOADS>,
  last_key: u32, // where the last row begins
  last_value: u32,
}

fn place(z: u32, invocation: u32, ahead: ptr<function, Ahead>) {
  for (var l = 0u; l < K_LOADS; l++) { // unrolled
    (*ahead).key_starts[l] = start_of_k(z, (invocation + l * WG) / K_VECTORS);
  }
  for (var l = 0u; l < V_LOADS; l++) { // unrolled
    (*ahead).value_starts[l] = start_of_v(z, key_of_block(invocation + l * WG));
  }
  (*ahead).last_key = start_of_k(z, params.keys - 1);
  (*ahead).last_value = start_of_v(z, params.keys - 1);
}

/// Channels of keys beyond the last repeat it: those of queries are zero.
fn fetch(first_key: u32, invocation: u32, ahead: ptr<function, Ahead>) {
  for (var l = 0u; l < K_LOADS; l++) { // unrolled
    let start = min((*ahead).key_starts[l] + first_key * step_of_k(), (*ahead).last_key);
    (*ahead).keys[l] = read_k(start, (invocation + l * WG) % K_VECTORS * 4);
  }
  for (var l = 0u; l < V_LOADS; l++) { // unrolled
    let start = (*ahead).value_starts[l] + first_key * step_of_v();
    (*ahead).values[l] = read_values(invocation + l * WG, start, (*ahead).last_value);

  }
}

fn put(invocation: u32, ahead: ptr<function, Ahead>) {
  for (var l = 0u; l < K_LOADS; l++) { // unrolled
    let i = invocation + l * WG;
    if (KEYS * K_VECTORS % WG == 0 || i < KEYS * K_VECTORS) {
      inputs[i / K_VECTORS * WIDTH_PITCH + i % K_VECTORS] = (*ahead).keys[l];
    }
  }
  for (var l = 0u; l < V_LOADS; l++) { // unrolled
    let i = invocation + l * WG;
    if (VALUE_BLOCKS % WG == 0 || i < VALUE_BLOCKS) {
      put_values(i, (*ahead).values[l]);
    }
  }
}
