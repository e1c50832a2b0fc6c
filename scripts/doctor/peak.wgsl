// The adapter's peak at multiply-adds: eight sums a lane that depend on nothing but themselves, in registers.
alias S = f32;
alias T = S; // or a vector of four
@group(0) @binding(0) var<storage, read_write> y: array<T>;
@group(0) @binding(1) var<uniform> turns: u32; // of 8 multiply-adds

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let factor = T(S(0.999)) - T(S(f32(id.x % 64) * 1e-4)); // not known when compiling
  let term = T(S(f32(id.x % 64) * 1e-3));
  var a = term;
  var b = term + T(S(1));
  var c = term + T(S(2));
  var d = term + T(S(3));
  var e = term + T(S(4));
  var f = term + T(S(5));
  var g = term + T(S(6));
  var h = term + T(S(7));
  for (var i = 0u; i < turns; i++) {
    a = fma(a, factor, term);
    b = fma(b, factor, term);
    c = fma(c, factor, term);
    d = fma(d, factor, term);
    e = fma(e, factor, term);
    f = fma(f, factor, term);
    g = fma(g, factor, term);
    h = fma(h, factor, term);
  }
  y[id.x] = a + b + c + d + e + f + g + h;
}
