// Two sets of weights, of hidden columns and of gates: (hidden + bias) * gelu(gate + bias) (Shazeer 2020,
// https://arxiv.org/abs/2002.05202). With lib/activations.wgsl; bias has both sets' one after the other.
// Host sets: B.
alias B = f32; // f16 where the tensor is
var<storage, read> bias: array<B>;

fn join(column: u32, sums: vec4f, others: vec4f) -> vec4f {
  return (sums + bias_at(column, 0)) * fused_gelu(others + bias_at(column, params.n));
}

/// The biases of columns column to column + 3 of a set; of the last where there are fewer.
fn bias_at(column: u32, first: u32) -> vec4f {
  let at = first + min(column + vec4u(0, 1, 2, 3), vec4u(params.n - 1));
  return vec4f(f32(bias[at.x]), f32(bias[at.y]), f32(bias[at.z]), f32(bias[at.w]));
}
