// Values are taken two at a time: for rows whose length, offset and stride are even.
// Host sets: X.
alias X = f32; // f16 where the tensor is
alias Value = vec2f;
alias Stored = vec2<X>;
const LANES: u32 = 2;
var<storage, read> x: array<Stored>;

/// The values from element i of x on.
fn load(i: u32) -> Value {
  return Value(x[i / LANES]);
}

fn total(v: Value) -> f32 {
  return v.x + v.y;
}
