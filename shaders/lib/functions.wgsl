// Functions of numbers on four values at once, as torch defines them, where WGSL lacks them or promises too little. With
// lib/activations.wgsl.

// NaN and infinity come through memory: WGSL refuses constants that are not finite.
fn fused_not_a_number() -> vec4f {
  var bits = vec4u(0x7fc00000u);
  return bitcast<vec4f>(bits);
}

fn fused_infinity() -> vec4f {
  var bits = vec4u(0x7f800000u);
  return bitcast<vec4f>(bits);
}

fn fused_is_negative(x: vec4f) -> vec4<bool> { // -0 too
  return bitcast<vec4u>(x) >= vec4u(0x80000000u);
}

// WGSL leaves pow of a negative base undefined. Whole exponents of it give a result, others NaN; 1 to any power and any
// number to the power of 0 are 1, even NaN.
fn fused_pow(x: vec4f, y: vec4f) -> vec4f {
  let whole = (trunc(y) == y) | fused_is_inf(y);
  let odd = whole & (fract(abs(y) * 0.5) == vec4f(0.5));
  let one = (y == vec4f(0.0)) | (x == vec4f(1.0)) | ((x == vec4f(-1.0)) & fused_is_inf(y));
  let of_zero = select(vec4f(0.0), fused_infinity(), y < vec4f(0.0)); // which drivers take for 0
  let magnitude = select(pow(abs(x), y), of_zero, x == vec4f(0.0));
  var result = select(magnitude, -magnitude, fused_is_negative(x) & odd);
  result = select(result, fused_not_a_number(), (x < vec4f(0.0)) & !whole & !fused_is_inf(x));
  result = select(select(result, y, fused_is_nan(y)), x, fused_is_nan(x));
  return select(result, vec4f(1.0), one & !(fused_is_nan(x) & (y != vec4f(0.0))) & !(fused_is_nan(y) & (x != vec4f(1.0))));
}

fn fused_pow_i32(x: vec4<i32>, y: vec4<i32>) -> vec4<i32> {
  var result = vec4<i32>(1);
  var factor = x;
  var rest = select(y, y & vec4<i32>(1), y < vec4<i32>(0)); // of negative powers only those of 1 and -1 are whole
  loop {
    if (all(rest == vec4<i32>(0))) { break; }
    result = select(result, result * factor, (rest & vec4<i32>(1)) != vec4<i32>(0));
    factor *= factor;
    rest = rest >> vec4u(1u);
  }
  return select(result, vec4<i32>(0), (y < vec4<i32>(0)) & (abs(x) != vec4<i32>(1)));
}

/// The rest of a / b towards 0, exactly: long division, one bit of the quotient a turn. Both are finite, above 0.
fn fused_rest_of(a: f32, b: f32) -> f32 {
  var rest = a;
  loop {
    if (rest < b) { break; }
    let above = (bitcast<u32>(rest) >> 23u) - (bitcast<u32>(b) >> 23u);
    var part = bitcast<f32>(bitcast<u32>(b) + (above << 23u)); // b times the power of 2 that brings it to rest's
    if (part > rest) { part *= 0.5; }
    rest -= part;
  }
  return rest;
}

fn fused_fmod(x: vec4f, y: vec4f) -> vec4f {
  let undefined = fused_is_nan(x) | fused_is_nan(y) | fused_is_inf(x) | (y == vec4f(0.0));
  let divides = !undefined & !fused_is_inf(y);
  var result = x;
  for (var i = 0u; i < 4u; i++) {
    if (divides[i]) { result[i] = fused_rest_of(abs(x[i]), abs(y[i])); }
  }
  result = select(result, -result, divides & fused_is_negative(x));
  return select(result, fused_not_a_number(), undefined);
}

// The rest has the sign of y, as in Python.
fn fused_remainder(x: vec4f, y: vec4f) -> vec4f {
  let rest = fused_fmod(x, y);
  return select(rest, rest + y, (rest != vec4f(0.0)) & ((rest < vec4f(0.0)) != (y < vec4f(0.0))) & !fused_is_nan(rest));
}

fn fused_remainder_i32(x: vec4<i32>, y: vec4<i32>) -> vec4<i32> {
  let rest = x % y;
  return select(rest, rest + y, (rest != vec4<i32>(0)) & ((rest < vec4<i32>(0)) != (y < vec4<i32>(0))));
}

// x / y rounded down, by the exact rest: the quotient alone may round up to the next whole number.
fn fused_floor_divide(x: vec4f, y: vec4f) -> vec4f {
  let rest = fused_fmod(x, y);
  let below = (rest != vec4f(0.0)) & ((rest < vec4f(0.0)) != (y < vec4f(0.0)));
  let quotient = round((x - rest) / y) - select(vec4f(0.0), vec4f(1.0), below);
  let result = select(quotient, vec4f(0.0), fused_is_nan(rest) | fused_is_inf(y));
  let far = select(vec4f(0.0), vec4f(-1.0), (x != vec4f(0.0)) & ((x < vec4f(0.0)) != (y < vec4f(0.0))));
  return select(select(select(result, far, fused_is_inf(y)), rest, fused_is_nan(rest)), x / y, y == vec4f(0.0));
}

fn fused_floor_divide_i32(x: vec4<i32>, y: vec4<i32>) -> vec4<i32> {
  let rest = x % y;
  return x / y - select(vec4<i32>(0), vec4<i32>(1), (rest != vec4<i32>(0)) & ((rest < vec4<i32>(0)) != (y < vec4<i32>(0))));
}

// Near 0, where 1 + x drops digits of x, by the series of 2 artanh(x / (2 + x)).
fn fused_log1p(x: vec4f) -> vec4f {
  let s = x / (2.0 + x);
  let q = s * s;
  let series = 1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * (1.0 / 11.0 + q / 13.0)))));
  return select(log(1.0 + x), 2.0 * s * series, abs(x) < vec4f(0.5));
}

fn fused_expm1(x: vec4f) -> vec4f {
  let series = 1.0 + x * (1.0 / 2.0 + x * (1.0 / 6.0 + x * (1.0 / 24.0 + x * (1.0 / 120.0 + x * (1.0 / 720.0 + x / 5040.0)))));
  return select(exp(x) - 1.0, x * series, abs(x) < vec4f(0.5));
}

fn fused_softplus(x: vec4f) -> vec4f { // linear in f32 beyond 20, as in torch
  return select(select(fused_log1p(exp(min(x, vec4f(20.0)))), x, x > vec4f(20.0)), x, fused_is_nan(x));
}

fn fused_sign(x: vec4f) -> vec4f {
  return select(sign(x), vec4f(0.0), fused_is_nan(x));
}

fn fused_round_even(x: vec4f) -> vec4f {
  return select(round(x), x, fused_is_nan(x) | fused_is_inf(x));
}

/// x - k * pi / 2 for the nearest whole k, in three steps of which k times the first two is exact for |k| < 2^13.
fn fused_quadrant(x: vec4f, k: vec4f) -> vec4f {
  return ((x - k * 1.5703125) - k * 4.837512969970703e-4) - k * 7.549789954891e-8;
}

/// sin(x + quarter * pi / 2) by polynomials on [-pi / 4, pi / 4].
fn fused_sin_from(x: vec4f, quarter: i32) -> vec4f {
  let k = round(x * 0.6366197723675814);
  let r = fused_quadrant(x, k);
  let q = r * r;
  let s = r + r * q * (-1.6666654611e-1 + q * (8.3321608736e-3 + q * -1.9515295891e-4));
  let c = 1.0 - 0.5 * q + q * q * (4.166664568298827e-2 + q * (-1.388731625493765e-3 + q * 2.443315711809948e-5));
  let turn = (vec4<i32>(k) + vec4<i32>(quarter)) & vec4<i32>(3);
  let value = select(s, c, (turn & vec4<i32>(1)) == vec4<i32>(1));
  let result = select(value, -value, turn >= vec4<i32>(2));
  return select(result, fused_not_a_number(), fused_is_inf(x) | fused_is_nan(x));
}

fn fused_sin(x: vec4f) -> vec4f {
  return fused_sin_from(x, 0);
}

fn fused_cos(x: vec4f) -> vec4f {
  return fused_sin_from(x, 1);
}

/// The angle of (x, y), for a quotient of at most 1 by a polynomial on [0, tan(pi / 8)].
fn fused_atan2(y: vec4f, x: vec4f) -> vec4f {
  let a = abs(x);
  let b = abs(y);
  let same = fused_is_inf(x) & fused_is_inf(y);
  let quotient = min(a, b) / max(a, b);
  let t = select(select(quotient, vec4f(0.0), max(a, b) == vec4f(0.0)), vec4f(1.0), same);
  let far = t > vec4f(0.4142135623730950);
  let u = select(t, (t - 1.0) / (t + 1.0), far);
  let q = u * u;
  let p = u + u * q * (-3.33329491539e-1 + q * (1.99777106478e-1 + q * (-1.38776856032e-1 + q * 8.05374449538e-2)));
  var angle = select(p, p + 0.7853981633974483, far);
  angle = select(angle, 1.5707963267948966 - angle, b > a);
  angle = select(angle, 3.141592653589793 - angle, fused_is_negative(x));
  angle = select(angle, -angle, fused_is_negative(y));
  return select(angle, fused_not_a_number(), fused_is_nan(x) | fused_is_nan(y));
}
