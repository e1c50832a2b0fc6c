// Columns of y whose weights w [z0, z1, n, taps, k] are contiguous along k (linear [out, in], conv2d [O, kh, kw, I], keys of
// attention); w_row elements lie from column to column.
const ALONG_K = true; // neighbouring lanes read neighbouring channels

/// The index in w of the first weight of column n; of the last column beyond it.
fn column_start(z: u32, n: u32) -> u32 {
  let batch = z / params.z1 * params.w_z0 + z % params.z1 * params.w_z1;
  return params.w_offset + batch + min(n, params.n - 1) * params.w_row;
}

/// Elements from channel to channel.
fn channel_step() -> u32 {
  return 1;
}
