// What attention kernels are told. q [z0, z1, queries, width], k [z0, z1 / group, keys, width] and v [z0, z1 / group, keys,
// columns] have a stride for each of their first three axes, so that [B, L, H, D] serves as [B, H, L, D].
struct Params {
  z: u32, // pairs of picture and head
  z1: u32, // heads: z = picture * z1 + head
  group: u32, // heads that share keys and values
  queries: u32,
  keys: u32,
  width: u32, // of a head's queries and keys
  columns: u32, // of its values
  causal: u32, // 1: query i sees keys 0 to i only
  scale: f32, // on the scores
  q_offset: u32, // everything below counts elements
  q_z0: u32,
  q_z1: u32,
  q_row: u32,
  k_offset: u32,
  k_z0: u32,
  k_z1: u32,
  k_row: u32,
  v_offset: u32,
  v_z0: u32,
  v_z1: u32,
  v_row: u32,
  mask_offset: u32,
  mask_z0: u32, // 0 along axes that the mask repeats
  mask_z1: u32,
  mask_row: u32,
  mask_key: u32,
}

var<uniform> params: Params;

const LOWEST: f32 = -3.4028234e38;

/// The keys that a query sees.
fn seen_by(query: u32) -> u32 {
  return select(params.keys, min(params.keys, query + 1), params.causal == 1);
}

/// What divides a query's weighed values, from the sum of its powers, which is 0 if all scores are -infinity: it gets 0.
fn divisor(total: f32) -> f32 {
  return select(total, 1.0, total == 0.0);
}
