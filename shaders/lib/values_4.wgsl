// Values are taken four at a time: for rows whose length, offset and stride are multiples of 4.
// Host sets: X.
alias X = f32; // f16 where the tensor is
alias Value = vec4f;
alias Stored = vec4<X>;
const LANES: u32 = 4;
var<storage, read> x: array<Stored>;

/// The values from element i of x on.
fn load(i: u32) -> Value {
  return vec4f(x[i / LANES]);
}

fn total(v: Value) -> f32 {
  return v.x + v.y + v.z + v.w;
}

fn largest(v: Value) -> f32 {
  return max(max(v.x, v.y), max(v.z, v.w));
}

/// The values of columns c to c + 3 with those at or beyond `seen` at the lowest number.
fn mask(v: Value, c: u32, seen: u32) -> Value {
  return select(vec4f(-3.4028234e38), v, c + vec4u(0, 1, 2, 3) < vec4u(seen));
}
