// Activations on four values at once, as torch defines them. All arithmetic is f32. Names begin with fused_, as kernels have
// functions of their own.

// WGSL's min, max and clamp may drop NaN; torch's keep it, so that a broken picture does not become a black one. The test
// is on bits, as compilers may take x != x for false.
fn fused_is_nan(x: vec4f) -> vec4<bool> {
  return (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
}

fn fused_sigmoid(x: vec4f) -> vec4f {
  return select(1.0 / (1.0 + exp(min(-x, vec4f(88.0)))), x, fused_is_nan(x)); // exp(89) overflows f32
}

fn fused_is_inf(x: vec4f) -> vec4<bool> {
  return (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) == vec4u(0x7f800000u);
}

/// NaN where x is infinite: torch's infinity times 0.
fn fused_spoilt(x: vec4f) -> vec4f {
  return bitcast<vec4f>(bitcast<vec4u>(x) | vec4u(0x00400000u));
}

fn fused_silu(x: vec4f) -> vec4f {
  return select(x * fused_sigmoid(x), fused_spoilt(x), fused_is_inf(x) & (x < vec4f(0.0)));
}

// The built-in tanh, as exact as 1 is; beyond |x| = 15 it is 1 in f32.
fn fused_tanh_far(x: vec4f) -> vec4f {
  return select(tanh(clamp(x, vec4f(-15.0), vec4f(15.0))), x, fused_is_nan(x));
}

// Near 0 by its series, as drivers make the built-in from exp.
fn fused_tanh(x: vec4f) -> vec4f {
  let q = x * x;
  let near = x * (1.0 + q * (-1.0 / 3.0 + q * (2.0 / 15.0 + q * (-17.0 / 315.0 + q * (62.0 / 2835.0)))));
  return select(fused_tanh_far(x), near, abs(x) < vec4f(0.25));
}

// erf by Abramowitz & Stegun 7.1.26 has an absolute error of 1.5e-7, near 0 by its series; |x| > 4 gives 1 in f32.
fn fused_erf(x: vec4f) -> vec4f {
  let a = abs(x);
  let t = 1.0 / (1.0 + 0.3275911 * a);
  let p = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  let far = sign(x) * (1.0 - p * exp(-min(a * a, vec4f(80.0))));
  let q = x * x;
  let near = x * (1.1283791671 + q * (-0.3761263890 + q * (0.1128379167 + q * (-0.0268661706 + q * (0.0052239776 +
    q * (-0.0008548327 + q * 0.0001205533))))));
  return select(far, near, a < vec4f(0.5));
}

// As torch's vectorised form, NaN for both infinities.
fn fused_gelu(x: vec4f) -> vec4f {
  return select(0.5 * x * (1.0 + fused_erf(x * 0.7071067811865476)), fused_spoilt(x), fused_is_inf(x));
}

fn fused_gelu_tanh(x: vec4f) -> vec4f {
  return 0.5 * x * (1.0 + fused_tanh_far(0.7978845608028654 * (x + 0.044715 * x * x * x)));
}

fn fused_quick_gelu(x: vec4f) -> vec4f {
  return x * fused_sigmoid(1.702 * x);
}

/// True for NaN too, as in torch.
fn fused_is_nonzero(x: vec4f) -> vec4<bool> {
  return (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) != vec4u(0u);
}

// NaN compares with nothing, not even with itself, which compilers may forget.
fn fused_equal(x: vec4f, y: vec4f) -> vec4<bool> {
  return (x == y) & !(fused_is_nan(x) | fused_is_nan(y));
}

fn fused_less(x: vec4f, y: vec4f) -> vec4<bool> {
  return (x < y) & !(fused_is_nan(x) | fused_is_nan(y));
}

fn fused_less_or_equal(x: vec4f, y: vec4f) -> vec4<bool> {
  return (x <= y) & !(fused_is_nan(x) | fused_is_nan(y));
}

fn fused_relu(x: vec4f) -> vec4f {
  return select(max(x, vec4f(0.0)), x, fused_is_nan(x));
}

fn fused_minimum(x: vec4f, y: vec4f) -> vec4f {
  return select(select(min(x, y), y, fused_is_nan(y)), x, fused_is_nan(x));
}

fn fused_maximum(x: vec4f, y: vec4f) -> vec4f {
  return select(select(max(x, y), y, fused_is_nan(y)), x, fused_is_nan(x));
}

// x * tanh(log(1 + e)) with e = exp(x), which is x * ((1 + e)^2 - 1) / ((1 + e)^2 + 1); beyond 20 it is x in f32.
fn fused_mish(x: vec4f) -> vec4f {
  let e = exp(min(x, vec4f(20.0)));
  let square = e * (e + 2.0);
  return x * (square / (square + 2.0));
}
