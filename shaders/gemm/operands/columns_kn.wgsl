// Columns of y whose weights w [z0, z1, taps, k, n] lie side by side (matmul's b, values of attention); w_row elements lie
// from channel to channel.
const ALONG_K = false; // neighbouring lanes read neighbouring columns

/// The index in w of the first weight of column n; of the last column beyond it.
fn column_start(z: u32, n: u32) -> u32 {
  let batch = z / params.z1 * params.w_z0 + z % params.z1 * params.w_z1;
  return params.w_offset + batch + min(n, params.n - 1);
}

/// Elements from channel to channel.
fn channel_step() -> u32 {
  return params.w_row;
}
