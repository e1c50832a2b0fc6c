// The adapter's peak at multiply-adds in f32: eight sums a lane that depend on nothing but themselves, in registers.
alias T = f32;
@group(0) @binding(0) var<storage, read_write> y: array<T>;
@group(0) @binding(1) var<uniform> turns: u32; // of 8 multiply-adds

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let factor = T(0.999) - T(f32(id.x) * 1e-9); // not known when compiling
  let term = T(f32(id.x) * 1e-3);
  var a = term;
  var b = term + 1;
  var c = term + 2;
  var d = term + 3;
  var e = term + 4;
  var f = term + 5;
  var g = term + 6;
  var h = term + 7;
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
