// Attention without a mask.

/// What is added to the scores of a query for four keys.
fn mask_at(z: u32, query: u32, keys: vec4u) -> vec4f {
  return vec4f();
}

const UNIT: f32 = 1; // of scores, in powers of two

/// The scores of a query for four keys that lie side by side, from its products with them.
fn scored(z: u32, query: u32, key: u32, products: vec4f) -> vec4f {
  return products * (params.scale * 1.44269504);
}
