// Values are taken one at a time: for rows of any length, offset and stride.
// Host sets: X.
alias X = f32; // f16 where the tensor is
alias Value = f32;
alias Stored = X;
const LANES: u32 = 1;
var<storage, read> x: array<Stored>;

/// The value at element i of x.
fn load(i: u32) -> Value {
  return f32(x[i]);
}

fn total(v: Value) -> f32 {
  return v;
}

fn largest(v: Value) -> f32 {
  return v;
}

/// The value of column c, or the lowest number at or beyond `seen`.
fn mask(v: Value, c: u32, seen: u32) -> Value {
  return select(-3.4028234e38, v, c < seen);
}
