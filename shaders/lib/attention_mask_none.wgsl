// Attention without a mask.

/// What is added to the scores of a query for four keys.
fn mask_at(z: u32, query: u32, keys: vec4u) -> vec4f {
  return vec4f();
}
