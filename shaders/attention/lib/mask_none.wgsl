// Attention without a mask.

/// What is added to the scores of a query for four keys.
fn mask_at(z: u32, query: u32, keys: vec4u) -> vec4f {
  return vec4f();
}

const UNIT: f32 = 1; // of levels, in powers of two

/// The scores of a query for four keys, from its products with them, the scale's sign in the query.
fn scored(z: u32, query: u32, keys: vec4u, products: vec4f) -> vec4f {
  return products;
}

/// What scores are measured by. Without a scale all are as good as zero, but not those of -infinity.
fn level(score: f32) -> f32 {
  return score * max(abs(params.scale) * 1.44269504, 1e-30);
}

/// e to the power of scores, over that of a level.
fn powers(scores: vec4f, base: f32) -> vec4f {
  return exp2(fma(scores, vec4f(max(abs(params.scale) * 1.44269504, 1e-30)), vec4f(-base)));
}
