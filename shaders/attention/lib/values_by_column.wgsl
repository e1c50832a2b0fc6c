// Values of attention on matrix units, a column of a tile side by side in workgroup memory, for units that load runs along
// the keys: blocks of four keys by four columns are turned on their way there.
alias Values = mat4x4<f16>; // a block: four columns over four keys
const V_ROWS: u32 = KEYS / 4;
const VALUE_BLOCKS: u32 = V_ROWS * (COLUMNS / 4);

var<workgroup> values: array<vec4<f16>, COLUMNS * KEYS_PITCH>; // [column][key]

/// The first key of a block. Neighbours store what lies side by side, or 16 lanes would meet in two banks.
fn key_of_block(block: u32) -> u32 {
  return block % V_ROWS * 4;
}

/// A block whose first row begins at `start`; rows beyond the last repeat it.
fn read_values(block: u32, start: u32, last: u32) -> Values {
  let column = block / V_ROWS * 4;
  return transpose(mat4x4<f16>(
    read_v(min(start, last), column),
    read_v(min(start + step_of_v(), last), column),
    read_v(min(start + 2 * step_of_v(), last), column),
    read_v(min(start + 3 * step_of_v(), last), column),
  ));
}

fn put_values(block: u32, read: Values) {
  for (var c = 0u; c < 4; c++) {
    values[(block / V_ROWS * 4 + c) * KEYS_PITCH + block % V_ROWS] = read[c];
  }
}

/// The matrix of K keys from key on and N columns from column on.
fn values_at(key: u32, column: u32) -> Right {
  return subgroupMatrixLoad<Right, col_major>(&values, column * KEYS_PITCH + key / 4, KEYS_PITCH);
}
