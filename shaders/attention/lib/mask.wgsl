// Attention with a mask that is added to the scores.
// Host sets: MaskType.
alias MaskType = f32; // f16 where the tensor is
var<storage, read> mask: array<MaskType>;

/// What is added to the scores of a query for four keys; beyond the last query or key the last one's.
fn mask_at(z: u32, query: u32, keys: vec4u) -> vec4f {
  let first = params.mask_offset + z / params.z1 * params.mask_z0 + z % params.z1 * params.mask_z1;
  let at = first + min(query, params.queries - 1) * params.mask_row +
    min(keys, vec4u(params.keys - 1)) * params.mask_key;
  return vec4f(f32(mask[at.x]), f32(mask[at.y]), f32(mask[at.z]), f32(mask[at.w]));
}

const UNIT: f32 = 1.44269504; // of levels, in powers of two: a mask may be too low to be multiplied

/// The scores of a query for four keys, from its products with them, the scale's sign in the query.
fn scored(z: u32, query: u32, keys: vec4u, products: vec4f) -> vec4f {
  return products * abs(params.scale) + mask_at(z, query, keys);
}

/// What scores are measured by.
fn level(score: f32) -> f32 {
  return score;
}

/// e to the power of scores, over that of a level.
fn powers(scores: vec4f, base: f32) -> vec4f {
  return exp2((scores - base) * UNIT);
}
