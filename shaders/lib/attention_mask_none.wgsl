// Attention without a mask: q, k, v and y are bindings 0 to 3.
@group(0) @binding(4) var<uniform> params: Params;

/// What is added to the scores of a query for four keys.
fn mask_at(z: u32, query: u32, keys: vec4u) -> vec4f {
  return vec4f();
}
