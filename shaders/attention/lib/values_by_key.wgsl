// Values of attention on matrix units, in workgroup memory as they lie in the tensor, for units that load matrices either way:
// on an H200 a tenth faster than values_by_column.
alias Values = vec4<f16>; // a block: four columns of a key
const V_COLUMNS: u32 = COLUMNS / 4;
const VALUE_BLOCKS: u32 = KEYS * V_COLUMNS;
const VALUES_PITCH: u32 = (COLUMNS + 7) / 16 * 4 + 2; // vec4 from row to row, so that neighbouring rows lie in other banks

var<workgroup> values: array<vec4<f16>, KEYS * VALUES_PITCH>; // [key][column]

/// The key of a block.
fn key_of_block(block: u32) -> u32 {
  return block / V_COLUMNS;
}

/// A block whose row begins at `start`; rows beyond the last repeat it.
fn read_values(block: u32, start: u32, last: u32) -> Values {
  return Values(read_v(min(start, last), block % V_COLUMNS * 4));
}

fn put_values(block: u32, read: Values) {
  values[block / V_COLUMNS * VALUES_PITCH + block % V_COLUMNS] = read;
}

/// The matrix of K keys from key on and N columns from column on.
fn values_at(key: u32, column: u32) -> Right {
  return subgroupMatrixLoad<Right, row_major>(&values, key * VALUES_PITCH + column / 4, VALUES_PITCH);
}
